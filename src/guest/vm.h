/* The guest program's parts around and in a machine.
 *
 * `igloo-guest FD --vm [--disk] [--hello-ms MS] [--tap] [--screen SOCKET] [--agent SOCKET] [--conf PATH] [--warm PATH]
 * [--keep]
 * [--env NAME=VALUE]... [--virtiofsd N WORD...] PROGRAM ARGUMENT...` as PID 1 of a box (vmhost.c; the options but the
 * last: vmoptions.h): PROGRAM is QEMU, by its path. With --tap, descriptor 4 of this and of QEMU (VMHOST_TAP_FD) is the
 * machine's network, for `-netdev tap,fd=4`; with --disk, descriptor 7 (VMHOST_DISK_FD) is an image, for `-add-fd
 * fd=7,…`; with two of them, 8 is one, too. The N words are virtiofsd and its arguments: it is started first, with a
 * listening socket as descriptor VMHOST_LISTEN_FD (`--fd=3`), and QEMU has the connection to it as VMHOST_FS_FD; when
 * it ends before QEMU does, QEMU is killed, and that is told. QEMU is started with the port's socket as descriptor 3
 * (VMHOST_PORT_FD), for
 * `-chardev socket,id=igloo,fd=3 -device virtserialport,chardev=igloo,name=igloo`; descriptor 5 is its
 * monitor's socket (VMHOST_MONITOR_FD), 1 its output and the machine's console: they are kept, to be told when
 * it ends before HELLO, or otherwise than with code 0, or does not get there within MS milliseconds (ERR on stream 0,
 * stage MACHINE, errno EIO or ETIMEDOUT). When FD is at its end QEMU is killed; when QEMU ends, so does this, and the
 * box. The screen of the machine, a DIAL of port 0, is the unix socket of --screen; who connects to the SSH agent in
 * the machine is led to that of --agent. PROGRAM has the variables of --env and no others.
 *
 * With --conf PATH, the machine is given that file's lines through its port (vmgiven.h). With --warm PATH it goes on
 * from what is in that file behind VMHOST_STATE_OFFSET bytes, and boots where it does not (vmstart.c). With --keep it
 * is kept: written to descriptor 9 (VMHOST_STATE_FD) when it waits for what it is to be given (vmkeep.c).
 *
 * `/init`, as PID 1 of a machine (vminit.c), is told what it is by the port, or by /igloo.conf (see vmconf.h).
 *
 * `igloo-guest --service PATH BOX` as root in a machine with a system of its own (NixOS): a service of that system,
 * which has mounted the box's root on the folder BOX. PATH is that of the file above. What is to be seen of the box in
 * the system is mounted (vmbind.h), then it is as in any machine, and ends with the box; what is to follow is the
 * system's.
 */
#ifndef IGLOO_GUEST_VM_H
#define IGLOO_GUEST_VM_H

#include "base/mem.h"
#include "guest/image.h"

void vmhost_run(const char *fd, char **argv) ATTR_NORETURN;
void vminit_run(void) ATTR_NORETURN;
void vminit_serve(const char *path, const char *box) ATTR_NORETURN;

#endif
