/* SPDX-License-Identifier: MIT */
/* What the monitor's `info` shows. */
#ifndef VMM_MONITOR_INFO_H
#define VMM_MONITOR_INFO_H

#include "vmm/monitor.h"

extern const struct monitor_command monitor_info_items[];

/* Offer what `info regs`, `device_del` call devices: ids, and the names of those without. */
void monitor_offer_devices(struct control *control, const struct monitor_offers *offers);

#endif
