package pulse

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Life is one process's.
type Life struct {
	UID   string          // of its pod
	Beats []time.Duration // times of the boot clock, at least one, in order
}

func (l Life) first() time.Duration { return l.Beats[0] }
func (l Life) last() time.Duration  { return l.Beats[len(l.Beats)-1] }

func (l Life) String() string {
	return fmt.Sprintf("%s from %s to %s", l.UID, l.first(), l.last())
}

// Read reads all lives in a directory, in the order of their beginnings. A last line that is being written is left out.
func Read(dir string) ([]Life, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var lives []Life
	for _, file := range files {
		uid, _, ok := strings.Cut(file.Name(), "@")
		if !ok {
			return nil, fmt.Errorf("%s is no file of a life", filepath.Join(dir, file.Name()))
		}
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			return nil, err
		}
		life := Life{UID: uid}
		for line := range bytes.Lines(text) {
			if !bytes.HasSuffix(line, []byte("\n")) {
				break
			}
			at, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", file.Name(), err)
			}
			life.Beats = append(life.Beats, time.Duration(at))
		}
		if len(life.Beats) > 0 {
			lives = append(lives, life)
		}
	}
	slices.SortFunc(lives, func(a, b Life) int { return int(a.first() - b.first()) })
	return lives, nil
}

// AtMostOne says where two lives overlap.
func AtMostOne(lives []Life) error {
	var failed []error
	for i, life := range lives { // sorted by their beginnings
		for _, other := range lives[i+1:] {
			if other.first() <= life.last() {
				failed = append(failed, fmt.Errorf("two at once for %s: %s; %s", min(life.last(), other.last())-other.first(), life, other))
			}
		}
	}
	return errors.Join(failed...)
}

// Always says where between two times no life wrote for longer than so long.
func Always(lives []Life, from, to, pause time.Duration) error {
	var beats []time.Duration
	for _, life := range lives {
		beats = append(beats, life.Beats...)
	}
	slices.Sort(beats)
	var failed []error
	at := from
	for _, beat := range append(beats, to) {
		beat = min(beat, to)
		if beat > at {
			if beat-at > pause {
				failed = append(failed, fmt.Errorf("none for %s, from %s to %s", beat-at, at, beat))
			}
			at = beat
		}
	}
	return errors.Join(failed...)
}
