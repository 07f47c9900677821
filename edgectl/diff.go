package main

import "strings"

// context is how many equal lines are shown around those that differ.
const diffContext = 3

// maxDiffLines bounds what is compared line by line: the table of a comparison has the product of both lengths.
const maxDiffLines = 3000

// diff compares two texts line by line: "-" is only in before, "+" only in after.
func diff(before, after string) string {
	a, b := lines(before), lines(after)
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	endA, endB := len(a), len(b)
	for endA > start && endB > start && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
	}
	var script []edit
	for _, line := range a[:start] {
		script = append(script, edit{' ', line})
	}
	script = append(script, edits(a[start:endA], b[start:endB])...)
	for _, line := range a[endA:] {
		script = append(script, edit{' ', line})
	}
	return render(script)
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// edit is one line of a comparison.
type edit struct {
	sign byte
	line string
}

// edits is the shortest way from a to b, by the longest common subsequence.
func edits(a, b []string) (out []edit) {
	if len(a) > maxDiffLines || len(b) > maxDiffLines {
		return append(all('-', a), all('+', b)...)
	}
	common := make([][]int, len(a)+1) // of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return append(append(out, all('-', a[i:])...), all('+', b[j:])...)
}

func all(sign byte, lines []string) (out []edit) {
	for _, line := range lines {
		out = append(out, edit{sign, line})
	}
	return out
}

// render leaves out equal lines that are far from others; "…" stands for them.
func render(script []edit) string {
	near := make([]bool, len(script))
	for i, e := range script {
		if e.sign == ' ' {
			continue
		}
		for k := max(0, i-diffContext); k < min(len(script), i+diffContext+1); k++ {
			near[k] = true
		}
	}
	var out strings.Builder
	for i, e := range script {
		switch {
		case near[i]:
			out.WriteByte(e.sign)
			out.WriteString(e.line)
			out.WriteByte('\n')
		case i == 0 || near[i-1]:
			out.WriteString("…\n")
		}
	}
	return out.String()
}
