// Package pulse judges what pods that must be single have left behind of their lives: files of times, one file for each
// process (the probe image's pulse writes them), all by the boot clock of the machine that all hosts of a lab share.
//
//	DIR/UID@START    TIME\n TIME\n …    every 20 ms while the process lives, in nanoseconds of CLOCK_BOOTTIME
//
// A process that was frozen and went on lived in between, whether it wrote or not: two lives overlap when one has begun
// before the other has written for the last time. Processes of one pod are told apart as those of two pods are.
package pulse
