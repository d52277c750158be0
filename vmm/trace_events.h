/* SPDX-License-Identifier: MIT */
/*
 * The list of all trace events: X(name, format, (parameters), arguments...).
 * Names start with the module or device they come from, so that --trace 'pci_*' selects a part.
 */
#ifndef VMM_TRACE_EVENTS_H
#define VMM_TRACE_EVENTS_H

/* clang-format off */
#define TRACE_EVENTS(X)                                                                            \
    /* vmm/vcpu.c */                                                                               \
    X(vcpu_exit, "reason=%u", (unsigned reason), reason)                                           \
    X(mmio_read, "%s addr=0x%" PRIx64 " size=%u value=0x%" PRIx64,                                 \
      (const char *region, uint64_t address, unsigned size, uint64_t value),                       \
      region, address, size, value)                                                                \
    X(mmio_write, "%s addr=0x%" PRIx64 " size=%u value=0x%" PRIx64,                                \
      (const char *region, uint64_t address, unsigned size, uint64_t value),                       \
      region, address, size, value)                                                                \
    X(pio_read, "%s port=0x%x size=%u value=0x%" PRIx64,                                           \
      (const char *region, unsigned port, unsigned size, uint64_t value),                          \
      region, port, size, value)                                                                   \
    X(pio_write, "%s port=0x%x size=%u value=0x%" PRIx64,                                          \
      (const char *region, unsigned port, unsigned size, uint64_t value),                          \
      region, port, size, value)                                                                   \
    X(vcpu_park, "vcpu=%u", (unsigned vcpu), vcpu)                                                 \
    X(vcpu_resume, "vcpu=%u", (unsigned vcpu), vcpu)                                               \
    /* vmm/vm.c */                                                                                 \
    X(vm_request, "%s", (const char *what), what)                                                  \
    /* vmm/bus.c */                                                                                \
    X(bus_unassigned_read, "%s addr=0x%" PRIx64 " size=%u",                                        \
      (const char *bus, uint64_t address, unsigned size), bus, address, size)                      \
    X(bus_unassigned_write, "%s addr=0x%" PRIx64 " size=%u value=0x%" PRIx64,                      \
      (const char *bus, uint64_t address, unsigned size, uint64_t value),                          \
      bus, address, size, value)                                                                   \
    X(bus_map, "%s %s 0x%" PRIx64 "-0x%" PRIx64,                                                   \
      (const char *bus, const char *region, uint64_t first, uint64_t last),                        \
      bus, region, first, last)                                                                    \
    X(bus_unmap, "%s %s", (const char *bus, const char *region), bus, region)                      \
    X(bus_doorbell, "%s 0x%" PRIx64 " %s",                                                         \
      (const char *bus, uint64_t address, const char *state), bus, address, state)                 \
    /* vmm/kvm_irq.c */                                                                            \
    X(irq_level, "gsi=%u level=%u", (unsigned gsi, unsigned level), gsi, level)                    \
    X(irq_msi_route, "gsi=%u address=0x%" PRIx64 " data=0x%x devid=0x%x",                          \
      (unsigned gsi, uint64_t address, unsigned data, unsigned devid), gsi, address, data, devid)  \
    X(irq_msi_unroute, "gsi=%u", (unsigned gsi), gsi)                                              \
    X(irq_msi_raise, "gsi=%u", (unsigned gsi), gsi)                                                \
    /* pci/ */                                                                                     \
    X(pci_cfg_read, "%s reg=0x%03x size=%u value=0x%08x",                                          \
      (const char *device, unsigned reg, unsigned size, unsigned value),                           \
      device, reg, size, value)                                                                    \
    X(pci_cfg_write, "%s reg=0x%03x size=%u value=0x%08x",                                         \
      (const char *device, unsigned reg, unsigned size, unsigned value),                           \
      device, reg, size, value)                                                                    \
    X(pci_cfg_unassigned, "%02x:%02x.%x reg=0x%03x size=%u",                                       \
      (unsigned bus, unsigned dev, unsigned fn, unsigned reg, unsigned size),                      \
      bus, dev, fn, reg, size)                                                                     \
    X(pci_bar_map, "%s bar%u 0x%" PRIx64 " size=0x%" PRIx64,                                       \
      (const char *device, unsigned bar, uint64_t base, uint64_t size), device, bar, base, size)   \
    X(pci_bar_unmap, "%s bar%u", (const char *device, unsigned bar), device, bar)                  \
    X(pci_intx, "%s pin=%c level=%u",                                                              \
      (const char *device, int pin, unsigned level), device, pin, level)                           \
    X(pci_bus_numbers, "%s secondary=0x%02x subordinate=0x%02x",                                   \
      (const char *device, unsigned secondary, unsigned subordinate),                              \
      device, secondary, subordinate)                                                              \
    X(pci_link, "%s %s", (const char *device, const char *state), device, state)                   \
    X(pci_slot_control, "%s control=0x%04x", (const char *device, unsigned control),               \
      device, control)                                                                             \
    X(pci_slot_interrupt, "%s status=0x%03x control=0x%04x level=%u",                              \
      (const char *device, unsigned status, unsigned control, unsigned level),                     \
      device, status, control, level)                                                              \
    X(pci_hotplug, "%s %s", (const char *device, const char *what), device, what)                  \
    X(pci_msix_bad_access, "%s %s offset=0x%" PRIx64 " size=%u",                                   \
      (const char *device, const char *direction, uint64_t offset, unsigned size),                 \
      device, direction, offset, size)                                                             \
    X(pci_reset, "%s %s", (const char *device, const char *kind), device, kind)                    \
    X(pci_msi_update, "%s vector=%u address=0x%" PRIx64 " data=0x%x %s",                           \
      (const char *device, unsigned vector, uint64_t address, unsigned data, const char *state),   \
      device, vector, address, data, state)                                                        \
    X(pci_msi_notify, "%s vector=%u %s",                                                           \
      (const char *device, unsigned vector, const char *outcome), device, vector, outcome)         \
    X(pci_msi_error, "%s vector=%u: %s",                                                           \
      (const char *device, unsigned vector, const char *reason), device, vector, reason)           \
    /* devices/virtio/ */                                                                          \
    X(virtio_pci_read, "%s %s size=%u value=0x%" PRIx64,                                           \
      (const char *device, const char *reg, unsigned size, uint64_t value),                        \
      device, reg, size, value)                                                                    \
    X(virtio_pci_write, "%s %s size=%u value=0x%" PRIx64,                                          \
      (const char *device, const char *reg, unsigned size, uint64_t value),                        \
      device, reg, size, value)                                                                    \
    X(virtio_features, "%s offered=0x%" PRIx64 " accepted=0x%" PRIx64 " %s",                       \
      (const char *device, uint64_t offered, uint64_t accepted, const char *verdict),              \
      device, offered, accepted, verdict)                                                          \
    X(virtio_set_status, "%s written=0x%x status=0x%x",                                            \
      (const char *device, unsigned written, unsigned status), device, written, status)            \
    X(virtio_reset, "%s", (const char *device), device)                                            \
    X(virtio_error, "%s %s", (const char *device, const char *reason), device, reason)             \
    X(virtio_queue_enable,                                                                         \
      "%s vq=%u size=%u desc=0x%" PRIx64 " driver=0x%" PRIx64 " device=0x%" PRIx64,                \
      (const char *device, unsigned vq, unsigned size, uint64_t desc, uint64_t driver,             \
       uint64_t used), device, vq, size, desc, driver, used)                                       \
    X(virtio_queue_reset, "%s vq=%u", (const char *device, unsigned vq), device, vq)               \
    X(virtio_queue_notify, "%s vq=%u", (const char *device, unsigned vq), device, vq)              \
    X(vring_descriptor, "%s vq=%u %s[%u] addr=0x%" PRIx64 " len=%u flags=0x%x",                    \
      (const char *device, unsigned vq, const char *table, unsigned index, uint64_t address,       \
       unsigned length, unsigned flags), device, vq, table, index, address, length, flags)         \
    X(virtqueue_pop, "%s vq=%u id=%u out=%" PRIu64 " in=%" PRIu64,                                 \
      (const char *device, unsigned vq, unsigned id, uint64_t out, uint64_t in),                   \
      device, vq, id, out, in)                                                                     \
    X(virtqueue_push, "%s vq=%u id=%u written=%u",                                                 \
      (const char *device, unsigned vq, unsigned id, unsigned written), device, vq, id, written)   \
    X(virtio_notify, "%s vq=%u %s",                                                                \
      (const char *device, unsigned vq, const char *outcome), device, vq, outcome)                 \
    X(virtio_notify_config, "%s generation=%u",                                                    \
      (const char *device, unsigned generation), device, generation)                               \
    X(virtio_blk_request,                                                                          \
      "%s vq=%u id=%u type=%u sector=%" PRIu64 " out=%" PRIu64 " in=%" PRIu64,                     \
      (const char *device, unsigned vq, unsigned id, unsigned type, uint64_t sector,               \
       uint64_t out, uint64_t in), device, vq, id, type, sector, out, in)                          \
    X(virtio_blk_done, "%s vq=%u id=%u status=%u",                                                 \
      (const char *device, unsigned vq, unsigned id, unsigned status), device, vq, id, status)     \
    X(virtio_blk_error, "%s type=%u sector=%" PRIu64 ": %s",                                       \
      (const char *device, unsigned type, uint64_t sector, const char *reason),                    \
      device, type, sector, reason)                                                                \
    /* devices/virtio/virtio_net*.c */                                                             \
    X(virtio_net_send, "%s vq=%u length=%u flags=0x%x gso=0x%x",                                   \
      (const char *device, unsigned vq, unsigned length, unsigned flags, unsigned gso),            \
      device, vq, length, flags, gso)                                                              \
    X(virtio_net_receive, "%s vq=%u length=%u buffers=%u flags=0x%x gso=0x%x",                     \
      (const char *device, unsigned vq, unsigned length, unsigned buffers, unsigned flags,         \
       unsigned gso), device, vq, length, buffers, flags, gso)                                     \
    X(virtio_net_error, "%s vq=%u a frame is lost: %s",                                            \
      (const char *device, unsigned vq, const char *reason), device, vq, reason)                   \
    X(virtio_net_filtered, "%s vq=%u length=%u",                                                   \
      (const char *device, unsigned vq, unsigned length), device, vq, length)                      \
    X(virtio_net_control, "%s class=%u command=%u length=%u %s",                                   \
      (const char *device, unsigned class, unsigned command, unsigned length,                      \
       const char *answer), device, class, command, length, answer)                                \
    X(virtio_net_link, "%s %s", (const char *device, const char *state), device, state)            \
    /* vmm/net*.c */                                                                               \
    X(net_open, "%s queues=%u header=%u",                                                          \
      (const char *kind, unsigned queues, unsigned header), kind, queues, header)                  \
    X(net_error, "%s %s: %s", (const char *kind, const char *call, const char *reason),            \
      kind, call, reason)                                                                          \
    /* vmm/disk.c */                                                                               \
    X(disk_open, "%s size=0x%" PRIx64 " aio=%s",                                                   \
      (const char *file, uint64_t size, const char *aio), file, size, aio)                         \
    /* devices/dma_engine.c */                                                                     \
    X(dma_engine_read, "%s %s (0x%x) size=%u value=0x%" PRIx64,                                    \
      (const char *device, const char *reg, unsigned offset, unsigned size, uint64_t value),       \
      device, reg, offset, size, value)                                                            \
    X(dma_engine_write, "%s %s (0x%x) size=%u value=0x%" PRIx64,                                   \
      (const char *device, const char *reg, unsigned offset, unsigned size, uint64_t value),       \
      device, reg, offset, size, value)                                                            \
    X(dma_engine_bad_access, "%s %s offset=0x%x size=%u: %s",                                      \
      (const char *device, const char *direction, unsigned offset, unsigned size,                  \
       const char *reason), device, direction, offset, size, reason)                               \
    X(dma_engine_start, "%s src=0x%" PRIx64 " dst=0x%" PRIx64 " len=0x%" PRIx64 " %s",             \
      (const char *device, uint64_t src, uint64_t dst, uint64_t len, const char *where),           \
      device, src, dst, len, where)                                                                \
    X(dma_engine_done, "%s error=%u address=0x%" PRIx64,                                           \
      (const char *device, unsigned error, uint64_t address), device, error, address)              \
    X(dma_engine_refused, "%s busy_count=%u", (const char *device, unsigned count), device, count) \
    /* devices/pci_testdev.c */                                                                    \
    X(pci_testdev_read, "%s %s size=%u",                                                           \
      (const char *device, const char *reg, unsigned size), device, reg, size)                     \
    X(pci_testdev_write, "%s %s value=0x%" PRIx64,                                                 \
      (const char *device, const char *reg, uint64_t value), device, reg, value)                   \
    /* examples/ */                                                                                \
    X(adder_read, "%s %s size=%u value=0x%" PRIx64,                                                \
      (const char *device, const char *reg, unsigned size, uint64_t value),                        \
      device, reg, size, value)                                                                    \
    X(adder_write, "%s %s size=%u value=0x%" PRIx64,                                               \
      (const char *device, const char *reg, unsigned size, uint64_t value),                        \
      device, reg, size, value)                                                                    \
    X(virtio_upper_answer, "%s length=%" PRIu64 " written=%u",                                     \
      (const char *device, uint64_t length, unsigned written), device, length, written)            \
    /* devices/serial.c */                                                                         \
    X(serial_read, "reg=%u value=0x%02x", (unsigned reg, unsigned value), reg, value)              \
    X(serial_write, "reg=%u value=0x%02x", (unsigned reg, unsigned value), reg, value)             \
    X(serial_irq, "level=%u", (unsigned level), level)                                             \
    X(serial_overrun, "dropped=0x%02x", (unsigned value), value)                                   \
    /* devices/rtc_cmos.c */                                                                       \
    X(rtc_read, "reg=0x%02x value=0x%02x", (unsigned reg, unsigned value), reg, value)             \
    X(rtc_write, "reg=0x%02x value=0x%02x", (unsigned reg, unsigned value), reg, value)            \
    X(rtc_irq, "flags=0x%02x", (unsigned flags), flags)                                            \
    /* devices/acpi_pm.c, devices/reset_ports.c, devices/pvpanic.c */                              \
    X(acpi_pm_write, "reg=0x%x value=0x%x", (unsigned reg, unsigned value), reg, value)            \
    X(acpi_pm_sci, "level=%u", (unsigned level), level)                                            \
    X(reset_port, "port=0x%x value=0x%x", (unsigned port, unsigned value), port, value)            \
    X(pvpanic_event, "value=0x%x", (unsigned value), value)                                        \
    /* vmm/monitor.c, vmm/qmp.c */                                                                 \
    X(qmp_command, "%s", (const char *name), name)                                                 \
    X(monitor_command, "%s", (const char *line), line)                                             \
    /* devices/pl011.c, devices/pl031.c, devices/pl061.c, devices/gicv2m.c */                      \
    X(pl011_read, "reg=0x%03x value=0x%x", (unsigned reg, unsigned value), reg, value)             \
    X(pl011_write, "reg=0x%03x value=0x%x", (unsigned reg, unsigned value), reg, value)            \
    X(pl011_irq, "level=%u", (unsigned level), level)                                              \
    X(pl011_overrun, "dropped=0x%02x", (unsigned value), value)                                    \
    X(pl031_read, "reg=0x%03x value=0x%x", (unsigned reg, unsigned value), reg, value)             \
    X(pl031_write, "reg=0x%03x value=0x%x", (unsigned reg, unsigned value), reg, value)            \
    X(pl031_irq, "level=%u", (unsigned level), level)                                              \
    X(pl061_read, "reg=0x%03x value=0x%x", (unsigned reg, unsigned value), reg, value)             \
    X(pl061_write, "reg=0x%03x value=0x%x", (unsigned reg, unsigned value), reg, value)            \
    X(pl061_irq, "level=%u", (unsigned level), level)                                              \
    X(pl061_key, "pin=%u down=%u", (unsigned pin, unsigned down), pin, down)                       \
    X(gicv2m_read, "reg=0x%03x size=%u value=0x%" PRIx64,                                          \
      (unsigned reg, unsigned size, uint64_t value), reg, size, value)                             \
    X(gicv2m_write, "reg=0x%03x size=%u value=0x%" PRIx64,                                         \
      (unsigned reg, unsigned size, uint64_t value), reg, size, value)                             \
    /* devices/iommu/smmuv3.c */                                                                   \
    X(smmuv3_read_mmio, "addr: 0x%" PRIx64 " val:0x%" PRIx64 " size: 0x%x(%u)",                    \
      (uint64_t address, uint64_t value, unsigned size, unsigned result),                          \
      address, value, size, result)                                                                \
    X(smmuv3_write_mmio, "addr: 0x%" PRIx64 " val:0x%" PRIx64 " size: 0x%x(%u)",                   \
      (uint64_t address, uint64_t value, unsigned size, unsigned result),                          \
      address, value, size, result)                                                                \
    X(smmuv3_trigger_irq, "irq=%u", (unsigned irq), irq)                                           \
    X(smmuv3_write_gerror, "toggled=0x%x, new GERROR=0x%x",                                        \
      (unsigned toggled, unsigned gerror), toggled, gerror)                                        \
    X(smmuv3_write_gerrorn, "acked=0x%x, new GERRORN=0x%x",                                        \
      (unsigned acked, unsigned gerrorn), acked, gerrorn)                                          \
    X(smmuv3_record_event, "%s sid=0x%x", (const char *type, unsigned sid), type, sid)             \
    X(smmuv3_event_lost, "%s sid=0x%x: %s",                                                        \
      (const char *type, unsigned sid, const char *why), type, sid, why)                           \
    X(smmuv3_cmdq_consume, "prod=%u cons=%u prod.wrap=%u cons.wrap=%u",                            \
      (unsigned prod, unsigned cons, unsigned prod_wrap, unsigned cons_wrap),                      \
      prod, cons, prod_wrap, cons_wrap)                                                            \
    X(smmuv3_cmdq_opcode, "<--- %s", (const char *opcode), opcode)                                 \
    X(smmuv3_cmdq_consume_out, "prod:%u, cons:%u, prod_wrap:%u, cons_wrap:%u",                     \
      (unsigned prod, unsigned cons, unsigned prod_wrap, unsigned cons_wrap),                      \
      prod, cons, prod_wrap, cons_wrap)                                                            \
    X(smmuv3_cmdq_consume_error, "Error on %s command execution: %u",                              \
      (const char *opcode, unsigned error), opcode, error)                                         \
    X(smmuv3_unhandled_cmd, "Unhandled command type=%u", (unsigned type), type)                    \
    X(smmuv3_cmdq_cfgi_ste, "streamid= 0x%x", (unsigned sid), sid)                                 \
    X(smmuv3_cmdq_cfgi_ste_range, "start=0x%x - end=0x%x",                                         \
      (unsigned start, unsigned end), start, end)                                                  \
    X(smmuv3_cmdq_cfgi_cd, "sid=0x%x", (unsigned sid), sid)                                        \
    X(smmuv3_cmdq_tlbi_nh, "%s", (const char *opcode), opcode)                                     \
    X(smmuv3_cmdq_tlbi_nh_asid, "asid=%u", (unsigned asid), asid)                                  \
    X(smmuv3_s1_range_inval,                                                                       \
      "vmid=%u asid=%d addr=0x%" PRIx64 " tg=%u num_pages=0x%" PRIx64 " ttl=%u leaf=%u",           \
      (unsigned vmid, int asid, uint64_t address, unsigned tg, uint64_t pages, unsigned ttl,       \
       unsigned leaf), vmid, asid, address, tg, pages, ttl, leaf)                                  \
    X(smmuv3_find_ste, "sid=0x%x features:0x%x, sid_split:0x%x",                                   \
      (unsigned sid, unsigned features, unsigned split), sid, features, split)                     \
    X(smmuv3_find_ste_2lvl,                                                                        \
      "strtab_base:0x%" PRIx64 " l1ptr:0x%" PRIx64 " l1_off:0x%x, l2ptr:0x%" PRIx64                \
      " l2_off:0x%x max_l2_ste:%u",                                                                \
      (uint64_t base, uint64_t l1ptr, unsigned l1_off, uint64_t l2ptr, unsigned l2_off,            \
       unsigned max), base, l1ptr, l1_off, l2ptr, l2_off, max)                                     \
    X(smmuv3_get_ste, "STE addr: 0x%" PRIx64, (uint64_t address), address)                         \
    X(smmuv3_get_cd, "CD addr: 0x%" PRIx64, (uint64_t address), address)                           \
    X(smmuv3_decode_cd, "oas=%u", (unsigned oas), oas)                                             \
    X(smmuv3_decode_cd_tt, "TT[%u]:tsz:%u ttb:0x%" PRIx64 " granule_sz:%u had:%u",                 \
      (unsigned table, unsigned tsz, uint64_t ttb, unsigned granule, unsigned had),                \
      table, tsz, ttb, granule, had)                                                               \
    X(smmuv3_config_cache_hit, "Config cache HIT for sid=0x%x (hits=%u, misses=%u, hit rate=%u)",  \
      (unsigned sid, unsigned hits, unsigned misses, unsigned rate), sid, hits, misses, rate)      \
    X(smmuv3_config_cache_miss,                                                                    \
      "Config cache MISS for sid=0x%x (hits=%u, misses=%u, hit rate=%u)",                          \
      (unsigned sid, unsigned hits, unsigned misses, unsigned rate), sid, hits, misses, rate)      \
    X(smmuv3_config_cache_inv, "Config cache INV for sid=0x%x", (unsigned sid), sid)               \
    X(smmuv3_translate_disable,                                                                    \
      "%s sid=0x%x bypass (smmu disabled) iova:0x%" PRIx64 " is_write=%u",                         \
      (const char *name, unsigned sid, uint64_t address, unsigned is_write),                       \
      name, sid, address, is_write)                                                                \
    X(smmuv3_translate_bypass, "%s sid=0x%x STE bypass iova:0x%" PRIx64 " is_write=%u",            \
      (const char *name, unsigned sid, uint64_t address, unsigned is_write),                       \
      name, sid, address, is_write)                                                                \
    X(smmuv3_translate_abort, "%s sid=0x%x abort on iova:0x%" PRIx64 " is_write=%u",               \
      (const char *name, unsigned sid, uint64_t address, unsigned is_write),                       \
      name, sid, address, is_write)                                                                \
    X(smmuv3_translate_success,                                                                    \
      "%s sid=0x%x iova=0x%" PRIx64 " translated=0x%" PRIx64 " perm=0x%x",                         \
      (const char *name, unsigned sid, uint64_t address, uint64_t translated, unsigned perm),      \
      name, sid, address, translated, perm)                                                        \
    X(smmu_get_pte, "baseaddr=0x%" PRIx64 " index=0x%x, pteaddr=0x%" PRIx64 ", pte=0x%" PRIx64,    \
      (uint64_t base, unsigned index, uint64_t address, uint64_t pte), base, index, address, pte)  \
    X(smmu_iotlb_lookup_hit,                                                                       \
      "IOTLB cache HIT asid=%u addr=0x%" PRIx64 " hit=%u miss=%u hit rate=%u",                     \
      (unsigned asid, uint64_t address, unsigned hits, unsigned misses, unsigned rate),            \
      asid, address, hits, misses, rate)                                                           \
    X(smmu_iotlb_lookup_miss,                                                                      \
      "IOTLB cache MISS asid=%u addr=0x%" PRIx64 " hit=%u miss=%u hit rate=%u",                    \
      (unsigned asid, uint64_t address, unsigned hits, unsigned misses, unsigned rate),            \
      asid, address, hits, misses, rate)                                                           \
    X(smmu_iotlb_insert, "IOTLB ++ asid=%u addr=0x%" PRIx64 " tg=%u level=%u",                     \
      (unsigned asid, uint64_t address, unsigned tg, unsigned level), asid, address, tg, level)    \
    X(smmu_iotlb_inv_all, "IOTLB invalidate %s", (const char *scope), scope)                       \
    X(smmu_iotlb_inv_asid, "IOTLB invalidate asid=%u", (unsigned asid), asid)                      \
    X(smmu_iotlb_inv_iova, "IOTLB invalidate asid=%d addr=0x%" PRIx64,                             \
      (int asid, uint64_t address), asid, address)                                                 \
    /* vmm/arm64/ */                                                                               \
    X(arm64_load, "%s format=%s entry=0x%" PRIx64 " dtb=0x%" PRIx64 " initrd=0x%" PRIx64,          \
      (const char *file, const char *format, uint64_t entry, uint64_t dtb, uint64_t initrd),       \
      file, format, entry, dtb, initrd)                                                            \
    /* vmm/x86/ */                                                                                 \
    X(x86_load, "%s protocol=%s entry=0x%" PRIx64 " cmdline=\"%s\"",                               \
      (const char *file, const char *protocol, uint64_t entry, const char *cmdline),               \
      file, protocol, entry, cmdline)                                                              \
    X(x86_reset_msr_refused, "vcpu=%u msr=0x%x value=0x%" PRIx64,                                  \
      (unsigned vcpu, unsigned msr, uint64_t value), vcpu, msr, value)

/*
 * Spans: X(name). They are chosen like events and have no line of text; --trace-format json shows
 * when they began and how long they took. Of exits it shows vcpu_exit in that way.
 */
#define TRACE_SPANS(X)                                                                             \
    X(dma_engine_copy) /* devices/dma_engine.c: on the vCPU or the engine's thread */              \
    X(virtio_serve)    /* devices/virtio/virtqueue.c: what a notification caused */
/* clang-format on */

#endif
