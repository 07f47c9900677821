package lab

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Registers is what clients have seen of values that they write and read at the same time. It tells whether that is
// linearizable: whether each write took effect at one moment between its request and its answer. No two writes may have the
// same value. Its methods may be called from any goroutine.
type Registers struct {
	began time.Time
	mu    sync.Mutex
	seen  []porcupine.Operation
}

// register is one operation; without a value to write it is a read.
type register struct{ name, write string }

// NewRegisters begins a history; all values are empty.
func NewRegisters() *Registers { return &Registers{began: time.Now()} }

// Now is the moment of a request, for Read and Wrote.
func (r *Registers) Now() int64 { return int64(time.Since(r.began)) }

// Read notes that a value was answered to a request of the moment called.
func (r *Registers) Read(client int, called int64, name, value string) {
	r.note(porcupine.Operation{ClientId: client, Input: register{name: name}, Output: value, Call: called, Return: r.Now()})
}

// Wrote notes that a write was acknowledged or, if it is not sure, that nobody knows whether and when it took or takes effect.
func (r *Registers) Wrote(client int, called int64, name, value string, sure bool) {
	op := porcupine.Operation{ClientId: client, Input: register{name, value}, Output: "", Call: called, Return: r.Now()}
	if !sure {
		op.Return = math.MaxInt64
	}
	r.note(op)
}

func (r *Registers) note(op porcupine.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, op)
}

// Len is the number of operations so far.
func (r *Registers) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// Check says what is wrong with the history, nil if nothing is. It also tries whether it would have seen a lost write.
func (r *Registers) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	read := map[register]bool{}
	for _, op := range r.seen {
		if in := op.Input.(register); in.write == "" {
			read[register{in.name, op.Output.(string)}] = true
		}
	}
	// A write that is not sure, and that nobody has read, may as well not have happened; leaving it out saves trying.
	history := slices.DeleteFunc(slices.Clone(r.seen), func(op porcupine.Operation) bool {
		in := op.Input.(register)
		return in.write != "" && op.Return == math.MaxInt64 && !read[in]
	})
	if result := porcupine.CheckOperationsTimeout(registers, history, time.Minute); result != porcupine.Ok {
		return fmt.Errorf("%d operations are not linearizable: %s", len(history), result)
	}
	for _, op := range history {
		if in := op.Input.(register); in.write != "" && op.Return != math.MaxInt64 {
			at := r.Now()
			late := porcupine.Operation{Input: register{name: in.name}, Output: "", Call: at, Return: at}
			if porcupine.CheckOperations(registers, append(history, late)) {
				return errors.New("a lost write would not be noticed")
			}
			return nil
		}
	}
	return errors.New("no write was acknowledged")
}

// registers are what the values have to look like: a write replaces the value, a read returns it.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		at := map[string]int{}
		for _, op := range history {
			name := op.Input.(register).name
			i, known := at[name]
			if !known {
				i, parts = len(parts), append(parts, nil)
				at[name] = i
			}
			parts[i] = append(parts[i], op)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		if in := input.(register); in.write != "" {
			return true, in.write
		}
		return output == state, state
	},
}
