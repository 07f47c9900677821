package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// blockSize is how much of a file is in memory at a time. A line is at most 16 KiB and a time stamp, see
// package writer.
const blockSize = 64 << 10

// files returns the paths of a log's files, oldest first: …, NAME.2, NAME.1, NAME.
func files(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list log files: %w", err)
	}
	type numbered struct {
		path   string
		number int
	}
	var found []numbered
	name := filepath.Base(path)
	for _, e := range entries {
		if e.Name() == name {
			found = append(found, numbered{path, 0})
		} else if suffix, ok := strings.CutPrefix(e.Name(), name+"."); ok {
			if n, err := strconv.Atoi(suffix); err == nil && n > 0 {
				found = append(found, numbered{filepath.Join(filepath.Dir(path), e.Name()), n})
			}
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].number > found[j].number })
	paths := make([]string, len(found))
	for i, f := range found {
		paths[i] = f.path
	}
	return paths, nil
}

// tailStart returns the offset in the file from which on it has the last n whole lines, and how many it has,
// if those are fewer than n. Pieces of a long line count as the one line they are.
func tailStart(file io.ReaderAt, size, n int64) (offset, found int64, err error) {
	if n == 0 {
		return size, 0, nil
	}
	end := size // of what has not been looked at
	var later []byte
	for end > 0 {
		begin := max(0, end-blockSize)
		block := make([]byte, end-begin, end-begin+int64(len(later)))
		if _, err := file.ReadAt(block, begin); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, fmt.Errorf("read log: %w", err)
		}
		block = append(block, later...)
		// Lines of the block from its last to its first; the first may begin in an earlier block.
		rest := block
		for {
			body, _ := bytes.CutSuffix(rest, []byte("\n"))
			cut := bytes.LastIndexByte(body, '\n') + 1
			if cut == 0 && begin > 0 && len(rest) <= blockSize {
				break
			}
			if l, ok := parseLine(rest[cut:]); ok && !l.partial {
				if found == n {
					return begin + int64(len(rest)), found, nil
				}
				found++
			}
			rest = rest[:cut]
			if cut == 0 {
				break
			}
		}
		later, end = rest, begin
	}
	return 0, found, nil
}
