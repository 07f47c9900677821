// Command pack writes the images of tests and demo as archives: go run ./test/images/pack -out DIR.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/skerry-edge/skerry/test/images"
)

func main() {
	out := flag.String("out", "images", "directory to write probe.tar and busybox.tar to")
	list := flag.String("platforms", images.Host().Architecture, "platforms of the probe, as amd64,arm64,arm/v7")
	flag.Parse()
	platforms, err := images.ParsePlatforms(*list)
	if err == nil {
		var files []string
		files, err = images.WriteAll(*out, platforms)
		for _, f := range files {
			fmt.Println(f)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}
