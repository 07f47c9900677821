package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// checkHostPath sees to it that a path of the node is what the pod expects, in the words of the kubelet.
func checkHostPath(path, kind string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		switch kind {
		case "", "DirectoryOrCreate":
			return os.MkdirAll(path, 0o755)
		case "FileOrCreate":
			// A link that leads nowhere is not followed: whoever may write beside the file doesn't say where it is made.
			f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			return f.Close()
		}
	}
	var mode fs.FileMode
	if err == nil {
		mode = info.Mode()
	}
	var fits bool
	var word string
	switch kind {
	case "":
		return err
	case "Directory", "DirectoryOrCreate":
		fits, word = mode.IsDir(), "directory"
	case "File", "FileOrCreate":
		fits, word = err == nil && mode.IsRegular(), "file"
	case "Socket":
		fits, word = mode&fs.ModeSocket != 0, "socket file"
	case "CharDevice":
		fits, word = mode&fs.ModeCharDevice != 0, "character device"
	case "BlockDevice":
		fits, word = mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0, "block device"
	default:
		return fmt.Errorf("hostPath type %q is not known", kind)
	}
	if err == nil && !fits {
		err = fmt.Errorf("%s is not a %s", path, word)
	}
	if err != nil {
		return fmt.Errorf("hostPath type check failed: %w", err)
	}
	return nil
}
