/* Runs a small loop in a machine of KVM, and times it. */
#ifndef IGLOO_KIND_VM_KVMPROBE_H
#define IGLOO_KIND_VM_KVMPROBE_H

enum { KVMPROBE_API_VERSION = 12 };

struct kvmprobe {
	int errnum;     /* 0: it ran; ETIMEDOUT: it did not end, and was killed */
	char stage[48]; /* what failed then ("KVM_CREATE_VM") */
	long loop_us;   /* of processor time; best of up to three */
};

/* Of an open /dev/kvm; negative: not one. */
int kvmprobe_version(int kvm);

/* Runs it in a child process, which is killed after `max_ms`. `kvm` is an open /dev/kvm. */
void kvmprobe_run(int kvm, unsigned max_ms, struct kvmprobe *ret);

#endif
