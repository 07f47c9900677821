package change

import (
	"fmt"
	"strconv"
)

// Epoch is a leader's term: compared first by Term, which an election raises, then by Start, which each
// start of a master raises. It only ever grows.
type Epoch struct{ Term, Start uint32 }

// Limits of the parts of a revision, see Rev.
const (
	StartBits = 12 // starts in a term
	WriteBits = 20 // writes in a start
	MaxStart  = 1<<StartBits - 1
)

// Rev is the cluster-wide revision of a write, rendered as metadata.resourceVersion. Each epoch has its own
// block of revisions, term × 2³² + start × 2²⁰ + n, so that no number ever stands for two states, whatever
// is restored from where. 0 is before every write.
type Rev uint64

// First is the revision just before the first write of an epoch. e.Start must be at most MaxStart.
func (e Epoch) First() Rev { return Rev(e.Term)<<32 | Rev(e.Start)<<WriteBits }

// Last is the last revision of an epoch's block.
func (e Epoch) Last() Rev { return e.First() | (1<<WriteBits - 1) }

// Next is the epoch that a further start begins: the next term when the term has no starts left.
func (e Epoch) Next() Epoch {
	if e.Start >= MaxStart {
		return Epoch{Term: e.Term + 1}
	}
	return Epoch{Term: e.Term, Start: e.Start + 1}
}

// Less reports whether e is older than o.
func (e Epoch) Less(o Epoch) bool {
	if e.Term != o.Term {
		return e.Term < o.Term
	}
	return e.Start < o.Start
}

func (e Epoch) String() string { return fmt.Sprintf("%d.%d", e.Term, e.Start) }

// Epoch is the epoch whose block a revision lies in.
func (r Rev) Epoch() Epoch {
	return Epoch{Term: uint32(r >> 32), Start: uint32(r>>WriteBits) & MaxStart}
}

// String is the form that clients see.
func (r Rev) String() string { return strconv.FormatUint(uint64(r), 10) }

// ParseRev reads what String wrote; the empty string is 0.
func ParseRev(s string) (Rev, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resource version %q is not a number", s)
	}
	return Rev(n), nil
}
