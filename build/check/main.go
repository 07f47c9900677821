// Command check enforces the rules of the layout that a compiler does not: which package may import which,
// where an outside library may appear, and that the pure packages are pure.
//
//	go run ./build/check
//
// It prints one line a finding, and exits 1 when there is any. The rules are data, in rules.go.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sort"
	"strings"
)

// module is the import path that every package of the project begins with.
const module = "github.com/skerry-edge/skerry/"

// goPackage is what `go list -json` says of a package, as far as it is used here.
type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Error      *struct{ Err string }
}

// place is the package's path inside the module.
func (p goPackage) place() string { return strings.TrimPrefix(p.ImportPath+"/", module) }

func main() {
	packages, err := list()
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
	var findings []string
	for _, p := range packages {
		findings = append(findings, checkImports(p.place(), p.Imports)...)
		if isPure(p.place()) {
			impure, err := checkPurity(p)
			if err != nil {
				fmt.Fprintln(os.Stderr, "check:", err)
				os.Exit(1)
			}
			findings = append(findings, impure...)
		}
	}
	sort.Strings(findings)
	for _, f := range findings {
		fmt.Println(f)
	}
	if len(findings) > 0 {
		fmt.Printf("check: %d findings in %d packages\n", len(findings), len(packages))
		os.Exit(1)
	}
	fmt.Printf("check: import directions and purity hold in %d packages\n", len(packages))
}

// list returns every package of the module. Test files are left out: they may use what they need.
func list() ([]goPackage, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,GoFiles,Imports,Error", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w: %s", err, stderr.String())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the list of packages: %w", err)
		}
		if p.Error != nil {
			return nil, fmt.Errorf("package %s: %s", p.ImportPath, p.Error.Err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		return nil, errors.New("there is no package to check: run it in the module's root")
	}
	return packages, nil
}
