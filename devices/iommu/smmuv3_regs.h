/* SPDX-License-Identifier: MIT */
/*
 * The SMMUv3 as software sees it: register offsets and bits, and the layouts of everything that
 * lies in memory: stream table entries (STE), context descriptors (CD), commands, events. Constants
 * only, so that the device, its tests and bare-metal guests share them. From Arm IHI 0070; sections
 * are its.
 */
#ifndef DEVICES_IOMMU_SMMUV3_REGS_H
#define DEVICES_IOMMU_SMMUV3_REGS_H

/* ---- registers, 6.1. The second page of 64 KiB has the event queue's indices. */
#define SMMU_IDR0            0x00
#define SMMU_IDR1            0x04
#define SMMU_IDR2            0x08
#define SMMU_IDR3            0x0c
#define SMMU_IDR4            0x10
#define SMMU_IDR5            0x14
#define SMMU_IIDR            0x18
#define SMMU_AIDR            0x1c
#define SMMU_CR0             0x20
#define SMMU_CR0ACK          0x24
#define SMMU_CR1             0x28
#define SMMU_CR2             0x2c
#define SMMU_STATUSR         0x40
#define SMMU_GBPA            0x44
#define SMMU_AGBPA           0x48
#define SMMU_IRQ_CTRL        0x50
#define SMMU_IRQ_CTRLACK     0x54
#define SMMU_GERROR          0x60
#define SMMU_GERRORN         0x64
#define SMMU_GERROR_IRQ_CFG0 0x68
#define SMMU_GERROR_IRQ_CFG1 0x70
#define SMMU_GERROR_IRQ_CFG2 0x74
#define SMMU_STRTAB_BASE     0x80
#define SMMU_STRTAB_BASE_CFG 0x88
#define SMMU_CMDQ_BASE       0x90
#define SMMU_CMDQ_PROD       0x98
#define SMMU_CMDQ_CONS       0x9c
#define SMMU_EVENTQ_BASE     0xa0
#define SMMU_EVENTQ_IRQ_CFG0 0xb0
#define SMMU_EVENTQ_IRQ_CFG1 0xb8
#define SMMU_EVENTQ_IRQ_CFG2 0xbc
#define SMMU_ID_FIRST        0xfd0
#define SMMU_PAGE1           0x10000
#define SMMU_EVENTQ_PROD     0x100a8
#define SMMU_EVENTQ_CONS     0x100ac

/* ---- identification, 6.3.1 to 6.3.8 */
#define SMMU_IDR0_S1P             (1u << 1)
#define SMMU_IDR0_TTF_AARCH64     (2u << 2)
#define SMMU_IDR0_COHACC          (1u << 4)
#define SMMU_IDR0_ASID16          (1u << 12)
#define SMMU_IDR0_TTENDIAN_LITTLE (2u << 21)
#define SMMU_IDR0_STALL_NONE      (1u << 24)
#define SMMU_IDR0_TERM_MODEL      (1u << 26)
#define SMMU_IDR0_ST_LEVEL_2      (1u << 27)
#define SMMU_IDR1_SIDSIZE_SHIFT   0
#define SMMU_IDR1_EVENTQS_SHIFT   16
#define SMMU_IDR1_CMDQS_SHIFT     21
#define SMMU_IDR1_ATTR_PERMS_OVR  (1u << 26)
#define SMMU_IDR3_HAD             (1u << 2)
#define SMMU_IDR3_FWB             (1u << 8)
#define SMMU_IDR3_RIL             (1u << 10)
#define SMMU_IDR3_BBML_2          (2u << 11)
#define SMMU_IDR5_OAS_44          4u
#define SMMU_IDR5_GRAN4K          (1u << 4)
#define SMMU_IDR5_GRAN16K         (1u << 5)
#define SMMU_IDR5_GRAN64K         (1u << 6)
#define SMMU_AIDR_3_2             0x02u

/* ---- control */
#define SMMU_CR0_SMMUEN            (1u << 0)
#define SMMU_CR0_EVENTQEN          (1u << 2)
#define SMMU_CR0_CMDQEN            (1u << 3)
#define SMMU_CR1_QUEUE             0x3fu
#define SMMU_CR1_TABLE             0xfc0u
#define SMMU_CR2_RECINVSID         (1u << 1)
#define SMMU_GBPA_UPDATE           (1u << 31)
#define SMMU_GBPA_ABORT            (1u << 20)
#define SMMU_GBPA_WRITABLE         0x001f3f1fu
#define SMMU_GBPA_RESET            0x1000u /* SHCFG: as incoming */
#define SMMU_IRQ_CTRL_GERROR       (1u << 0)
#define SMMU_IRQ_CTRL_EVENTQ       (1u << 2)
#define SMMU_GERROR_CMDQ_ERR       (1u << 0)
#define SMMU_GERROR_EVENTQ_ABT_ERR (1u << 2)

#define SMMU_STRTAB_BASE_WRITABLE     0x400fffffffffffc0ull /* RA, ADDR[51:6] */
#define SMMU_STRTAB_BASE_ADDRESS      0x000fffffffffffc0ull
#define SMMU_STRTAB_BASE_CFG_WRITABLE 0x307ffu
#define SMMU_STRTAB_LOG2SIZE          0x3fu
#define SMMU_STRTAB_SPLIT_SHIFT       6
#define SMMU_STRTAB_SPLIT             0x1fu
#define SMMU_STRTAB_FMT_SHIFT         16
#define SMMU_STRTAB_FMT               0x3u
#define SMMU_STRTAB_FMT_2LVL          1u

/* ---- queues, 3.5 */
#define SMMU_QUEUE_BASE_WRITABLE 0x400fffffffffffffull /* RA or WA, ADDR[51:5], LOG2SIZE */
#define SMMU_QUEUE_BASE_ADDRESS  0x000fffffffffffe0ull
#define SMMU_QUEUE_LOG2SIZE      0x1fu
#define SMMU_QUEUE_INDEX         0x000fffffu /* with the wrap bit */
#define SMMU_QUEUE_OVERFLOW      (1u << 31)  /* EVENTQ_PROD.OVFLG, EVENTQ_CONS.OVACKFLG */
#define SMMU_CMDQ_CONS_ERR_SHIFT 24
#define SMMU_CMDQ_CONS_ERR       0x7f000000u
#define SMMU_COMMAND_BYTES       16
#define SMMU_EVENT_BYTES         32

enum smmu_command_error { SMMU_CERROR_NONE = 0, SMMU_CERROR_ILL = 1, SMMU_CERROR_ABT = 2 };

/* ---- commands, 4.1.1 */
enum smmu_opcode {
    SMMU_CMD_PREFETCH_CONFIG = 0x01,
    SMMU_CMD_PREFETCH_ADDR = 0x02,
    SMMU_CMD_CFGI_STE = 0x03,
    SMMU_CMD_CFGI_STE_RANGE = 0x04,
    SMMU_CMD_CFGI_CD = 0x05,
    SMMU_CMD_CFGI_CD_ALL = 0x06,
    SMMU_CMD_TLBI_NH_ALL = 0x10,
    SMMU_CMD_TLBI_NH_ASID = 0x11,
    SMMU_CMD_TLBI_NH_VA = 0x12,
    SMMU_CMD_TLBI_NH_VAA = 0x13,
    SMMU_CMD_TLBI_EL3_ALL = 0x18,
    SMMU_CMD_TLBI_EL3_VA = 0x1a,
    SMMU_CMD_TLBI_EL2_ALL = 0x20,
    SMMU_CMD_TLBI_EL2_ASID = 0x21,
    SMMU_CMD_TLBI_EL2_VA = 0x22,
    SMMU_CMD_TLBI_EL2_VAA = 0x23,
    SMMU_CMD_TLBI_S12_VMALL = 0x28,
    SMMU_CMD_TLBI_S2_IPA = 0x2a,
    SMMU_CMD_TLBI_NSNH_ALL = 0x30,
    SMMU_CMD_ATC_INV = 0x40,
    SMMU_CMD_PRI_RESP = 0x41,
    SMMU_CMD_RESUME = 0x44,
    SMMU_CMD_STALL_TERM = 0x45,
    SMMU_CMD_SYNC = 0x46,
};

/* In the first doubleword. */
#define SMMU_CMD_OPCODE      0xffu
#define SMMU_CMD_SSEC        (1u << 10)
#define SMMU_CMD_SID_SHIFT   32
#define SMMU_CMD_NUM_SHIFT   12 /* 5 bits */
#define SMMU_CMD_SCALE_SHIFT 20 /* 5 bits */
#define SMMU_CMD_VMID_SHIFT  32
#define SMMU_CMD_ASID_SHIFT  48
#define SMMU_CMD_CS_SHIFT    12 /* CMD_SYNC, 2 bits */
#define SMMU_CMD_CS_IRQ      1u
#define SMMU_CMD_CS_RESERVED 3u
/* In the second. */
#define SMMU_CMD_RANGE     0x1fu /* CFGI_STE_RANGE */
#define SMMU_CMD_RANGE_ALL 31u   /* CFGI_ALL */
#define SMMU_CMD_LEAF      1u
#define SMMU_CMD_TTL_SHIFT 8  /* 2 bits */
#define SMMU_CMD_TG_SHIFT  10 /* 2 bits */
#define SMMU_CMD_ADDRESS   0xfffffffffffff000ull

/* ---- events, 7.3 */
enum smmu_event_type {
    SMMU_EVT_C_BAD_STREAMID = 0x02,
    SMMU_EVT_F_STE_FETCH = 0x03,
    SMMU_EVT_C_BAD_STE = 0x04,
    SMMU_EVT_F_CD_FETCH = 0x09,
    SMMU_EVT_C_BAD_CD = 0x0a,
    SMMU_EVT_F_WALK_EABT = 0x0b,
    SMMU_EVT_F_TRANSLATION = 0x10,
    SMMU_EVT_F_ADDR_SIZE = 0x11,
    SMMU_EVT_F_ACCESS = 0x12,
    SMMU_EVT_F_PERMISSION = 0x13,
};

#define SMMU_EVT_SID_SHIFT   32 /* in the first doubleword; the others in the second */
#define SMMU_EVT_PNU         (1ull << 33)
#define SMMU_EVT_IND         (1ull << 34)
#define SMMU_EVT_RNW         (1ull << 35)
#define SMMU_EVT_CLASS_SHIFT 40
#define SMMU_EVT_CLASS_TTD   1ull
#define SMMU_EVT_CLASS_IN    2ull
#define SMMU_EVT_FETCH_ADDR  0x000ffffffffffff8ull /* fourth doubleword */

/* ---- level 1 stream table descriptor, 5.1 */
#define SMMU_L1STD_BYTES 8
#define SMMU_L1STD_SPAN  0x1full
#define SMMU_L1STD_L2PTR 0x000fffffffffffc0ull

/* ---- STE, 5.2: name_WORD_FIELD with the doubleword's number */
#define SMMU_STE_BYTES               64
#define SMMU_STE0_V                  (1ull << 0)
#define SMMU_STE0_CONFIG_SHIFT       1 /* 3 bits */
#define SMMU_STE0_S1CONTEXTPTR       0x000fffffffffffc0ull
#define SMMU_STE1_S1STALLD           (1ull << 27)
#define SMMU_STE1_PRIVCFG_SHIFT      48 /* 2 bits */
#define SMMU_STE1_INSTCFG_SHIFT      50 /* 2 bits */
#define SMMU_STE_CONFIG_BYPASS       4u
#define SMMU_STE_CONFIG_S1           5u
#define SMMU_STE_CONFIG_S2           6u
#define SMMU_STE_CONFIG_BOTH         7u
#define SMMU_STE_PRIVCFG_PRIVILEGED  3u
#define SMMU_STE_INSTCFG_INSTRUCTION 3u

/* ---- CD, 5.4; `i` is 0 or 1, of the table */
#define SMMU_CD_BYTES         64
#define SMMU_CD0_TSZ_SHIFT(i) ((i)*16)     /* 6 bits */
#define SMMU_CD0_TG_SHIFT(i)  ((i)*16 + 6) /* 2 bits */
#define SMMU_CD0_EPD(i)       (1ull << ((i)*16 + 14))
#define SMMU_CD0_ENDI         (1ull << 15)
#define SMMU_CD0_V            (1ull << 31)
#define SMMU_CD0_IPS_SHIFT    32 /* 3 bits */
#define SMMU_CD0_AFFD         (1ull << 35)
#define SMMU_CD0_WXN          (1ull << 36)
#define SMMU_CD0_TBI(i)       (1ull << (38 + (i)))
#define SMMU_CD0_PAN          (1ull << 40)
#define SMMU_CD0_AA64         (1ull << 41)
#define SMMU_CD0_HD           (1ull << 42)
#define SMMU_CD0_HA           (1ull << 43)
#define SMMU_CD0_S            (1ull << 44)
#define SMMU_CD0_R            (1ull << 45)
#define SMMU_CD0_A            (1ull << 46)
#define SMMU_CD0_ASID_SHIFT   48
#define SMMU_CD_TTB_HAD       (1ull << 1) /* doubleword 1 and 2 */
#define SMMU_CD_TTB_ADDRESS   0x000ffffffffffff0ull

/* ---- translation table descriptors, Arm ARM D8.3 */
#define SMMU_TTD_VALID         (1ull << 0)
#define SMMU_TTD_TABLE         (1ull << 1) /* on the last level: a page */
#define SMMU_TTD_AP_UNPRIV     (1ull << 6) /* AP[1] */
#define SMMU_TTD_AP_READ_ONLY  (1ull << 7) /* AP[2] */
#define SMMU_TTD_AF            (1ull << 10)
#define SMMU_TTD_NG            (1ull << 11)
#define SMMU_TTD_PXN           (1ull << 53)
#define SMMU_TTD_UXN           (1ull << 54)
#define SMMU_TTD_PXN_TABLE     (1ull << 59)
#define SMMU_TTD_UXN_TABLE     (1ull << 60)
#define SMMU_TTD_AP_TABLE_PRIV (1ull << 61) /* APTable[0]: privileged accesses only */
#define SMMU_TTD_AP_TABLE_RO   (1ull << 62) /* APTable[1]: no writes */
#define SMMU_TTD_ADDRESS       0x0000fffffffff000ull

#endif
