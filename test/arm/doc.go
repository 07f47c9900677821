// Package arm tests nodes of another architecture without a board: an agent built for arm64 or armv6 runs on this
// machine under qemu-user, joins a fleet beside a native one, and runs containers of its architecture through the
// machine's containerd.
//
// The kernel hands a board's programs to qemu by a rule in binfmt_misc. That rule is the machine's: the test
// adds one under a name of its own if there is none, and takes it away. Where that can't be done the test says
// so and is skipped. docs/arm.md says what else is tested for ARM, and what emulation can't show.
package arm
