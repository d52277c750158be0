/* SPDX-License-Identifier: MIT */
/*
 * What every machine does with its parts, whatever they are: build them in order, destroy them in
 * the opposite one, reset them. And one part that all of them have, the console.
 */
#include "vmm/machine.h"

#include "vmm/arch.h"

/* ---- the console: minivmm's stdin and stdout, behind the machine's serial port */

static void quit_key(void *opaque)
{
    vm_request(opaque, VM_REQUEST_QUIT);
}

int machine_build_console(struct machine *machine, struct error *err)
{
    const struct console_keys keys = {.quit = quit_key, .opaque = &machine->vm};
    return console_init(&machine->console, &machine->vm.loop, &keys, err);
}

void machine_destroy_console(struct machine *machine)
{
    console_destroy(&machine->console);
}

/* ---- all parts */

static void warn_if_slow(const struct machine *machine)
{
    if (vm_can_run(&machine->vm) && arch_kvm_emulates_kernel_mode(machine->vm.kvm_fd)) {
        vm_report("minivmm: warning: this KVM emulates a guest's kernel mode instruction by "
                  "instruction (no VMX or SVM): a stock kernel will take very long; "
                  "tools/nested runs minivmm on a real KVM under emulation");
    }
}

static bool is_wanted(const struct machine *machine, const struct machine_part *part)
{
    return vm_can_run(&machine->vm) || !part->to_run;
}

int machine_build(struct machine *machine, struct error *err)
{
    for (const struct machine_part *part = machine_parts; part->build; part++) {
        int ret = is_wanted(machine, part) ? part->build(machine, err) : 0;
        if (ret < 0) {
            return ret;
        }
        machine->parts_built++;
    }
    warn_if_slow(machine);
    return 0;
}

void machine_destroy(struct machine *machine)
{
    while (machine->parts_built > 0) {
        const struct machine_part *last = &machine_parts[--machine->parts_built];
        if (last->destroy && is_wanted(machine, last)) {
            last->destroy(machine);
        }
    }
}

void machine_reset_parts(struct machine *machine)
{
    for (unsigned i = 0; i < machine->parts_built; i++) {
        if (machine_parts[i].reset) {
            machine_parts[i].reset(machine);
        }
    }
}
