package plan

import "strings"

// expand replaces $(NAME) by the variable's value, as Kubernetes does (third_party/forked/golang/expansion): what
// is not set stays as it is written, and $$ is one dollar that begins nothing.
func expand(text string, env map[string]string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(text[i:], ')')
			if end < 0 {
				out.WriteString(text[i:])
				return out.String()
			}
			reference := text[i : i+end+1]
			if value, set := env[reference[2:end]]; set {
				out.WriteString(value)
			} else {
				out.WriteString(reference)
			}
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}

func expandAll(texts []string, env map[string]string) []string {
	var out []string
	for _, text := range texts {
		out = append(out, expand(text, env))
	}
	return out
}
