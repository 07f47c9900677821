// Command vuln looks for known vulnerabilities in what Skerry is made of, with govulncheck and Go's database of them.
// Where that does not answer nothing has been looked for; it says so, and with -force it fails.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

const defaultDatabase = "https://vuln.go.dev"

func main() {
	force := flag.Bool("force", false, "fail when the database does not answer")
	flag.Parse()
	if err := run(*force); err != nil {
		fmt.Fprintln(os.Stderr, "vuln:", err)
		os.Exit(1)
	}
}

func run(force bool) error {
	database := os.Getenv("GOVULNDB")
	if database == "" {
		database = defaultDatabase
	}
	if err := ask(database); err != nil {
		if force {
			return err
		}
		fmt.Printf("NOT CHECKED for known vulnerabilities: %v.\nRun make vuln where there is network, or set GOVULNDB to a copy.\n", err)
		return nil
	}
	check := exec.Command("go", "tool", "-modfile=build/tools/go.mod", "govulncheck", "-db", database, "./...")
	check.Stdout, check.Stderr = os.Stdout, os.Stderr
	if err := check.Run(); err != nil {
		return fmt.Errorf("govulncheck: %w", err)
	}
	return nil
}

// patience is for a database that does not answer: the check is not to hang on it.
const patience = 10 * time.Second

// ask sees whether a database is there.
func ask(database string) error {
	if dir, local := strings.CutPrefix(database, "file://"); local {
		_, err := os.Stat(dir + "/index/db.json")
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(database, "/")+"/index/db.json", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the database at %s answers %s", database, answer.Status)
	}
	return nil
}
