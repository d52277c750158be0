# SPDX-License-Identifier: MIT
# The virtio-test device and its driver: numbers go through the queue, interval after interval, until the
# driver leaves. Words of the kernel's command line say what to expect:
#   legacy    the transitional device, driven by its legacy registers
#   packed    packed virtqueues
. ./lib.sh
virtio=/sys/bus/virtio/devices
driver=/sys/bus/virtio/drivers/virtio_test
device=$(basename "$(ls -d $virtio/virtio* | head -n 1)")
number() {
    cat $virtio/$device/$1
}
feature() {
    cut -c $(($1 + 1)) $virtio/$device/features
}
# Wait until the driver has counted $1 changes.
wait_for() {
    for try in $(seq 100); do
        [ "$(number counter)" -lt "$1" ] || return 0
        sleep 0.2
    done
    return 1
}
echo "device: $(cat $DEVICES/*/vendor $DEVICES/*/device | paste - - 2>/dev/null | tr '\n' ' ')"
equal "bound" "$(basename "$(readlink $virtio/$device/driver)")" virtio_test
case $(cat /proc/cmdline) in
    *legacy*) modern=0 ;;
    *) modern=1 ;;
esac
case $(cat /proc/cmdline) in
    *packed*) packed=1 ;;
    *) packed=0 ;;
esac
equal "VIRTIO_F_VERSION_1" "$(feature 32)" $modern
equal "VIRTIO_F_RING_PACKED" "$(feature 34)" $packed
equal "VIRTIO_TEST_F_CAN_PRINT" "$(feature 0)" 1
succeeds "20 intervals" wait_for 20
sleep 1
# What is counted, what is sent and what came are three numbers of three parties.
counted=$(number counter)
[ "$(number interval_number)" -ge "$counted" ] && ok "no more changes than intervals" ||
    not_ok "no more changes than intervals" "$counted of $(number interval_number)"
[ "$(number received)" -ge $((counted - 1)) ] && ok "the device got what was sent" ||
    not_ok "the device got what was sent" "$(number received) of $counted"
case $(cat /proc/cmdline) in
    *nomsi*) where=virtio0 ;;
    *) where=$device-config ;;
esac
[ "$(interrupts $where)" -ge 20 ] && ok "interrupts" || not_ok "interrupts" "$(grep virtio /proc/interrupts)"
succeeds "unbind" sh -c "echo $device >$driver/unbind"
echo "unbound after $counted"
sleep 2
echo "still unbound"
succeeds "bind" sh -c "echo $device >$driver/bind"
succeeds "3 intervals after the bind" wait_for 3
[ "$(number interval_number)" -lt 20 ] && ok "the device counts anew" ||
    not_ok "the device counts anew" "$(number interval_number)"
succeeds "rmmod" rmmod virtio_test
succeeds "modprobe" modprobe virtio_test
succeeds "3 intervals after modprobe" wait_for 3
finish
