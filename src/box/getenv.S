/* getenv.bash as bytes; see resolveforeign.c. It is found by -I. */
	.section .rodata
	.globl getenv_script
	.type getenv_script, %object
getenv_script:
	.incbin "getenv.bash"
	.byte 0
	.size getenv_script, . - getenv_script
	.section .note.GNU-stack, "", %progbits
