// Package daemontest is for the tests of the programs: it writes the config file that is installed with one, from
// the settings that the program declares, and compares.
//
//	Command.Settings ─► ConfigFile ─► the file in systemd/, which has to be equal
//
// So the file can't name a setting that is not there, lack one that is, or have another default. Every setting in
// it is commented out: what a file doesn't say follows the program's default also after an upgrade.
package daemontest
