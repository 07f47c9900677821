package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
)

// readsClock are the functions of package time that a pure package may not call.
var readsClock = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
	"Tick": true, "NewTimer": true, "NewTicker": true,
}

// checkPurity returns the places in a package where it starts a goroutine, reads a clock or waits.
func checkPurity(p goPackage) ([]string, error) {
	var findings []string
	for _, name := range p.GoFiles {
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("parse: %w", err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if what := impurity(n); what != "" {
				findings = append(findings, fmt.Sprintf("%s%s:%d: %s in a pure package",
					p.place(), name, files.Position(n.Pos()).Line, what))
			}
			return true
		})
	}
	return findings, nil
}

// impurity names what a pure package may not do at this node; it is empty when it may.
func impurity(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a goroutine"
	case *ast.SelectStmt:
		return "a select"
	case *ast.SelectorExpr:
		if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && readsClock[n.Sel.Name] {
			return "time." + n.Sel.Name
		}
	}
	return ""
}
