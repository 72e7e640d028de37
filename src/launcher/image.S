/* The launcher as bytes; see launcher/image.h. It is found by -I. */
	.section .rodata
	.balign 16
	.globl launcher_image
	.type launcher_image, %object
launcher_image:
	.incbin "igloo-launcher"
1:
	.size launcher_image, . - launcher_image
	.balign 8
	.globl launcher_image_size
	.type launcher_image_size, %object
launcher_image_size:
#if __SIZEOF_POINTER__ == 8
	.quad 1b - launcher_image
#else
	.long 1b - launcher_image
#endif
	.size launcher_image_size, . - launcher_image_size
	.section .note.GNU-stack, "", %progbits
