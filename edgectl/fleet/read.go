package fleet

import (
	"context"
	"fmt"
	"strings"
)

// maxSites bounds what is read.
const maxSites = 10_000

// Sites are all in this etcd, in the order of their names.
func (c *Client) Sites(ctx context.Context) ([]Site, error) {
	var out []Site
	from := root
	for range maxSites {
		key, err := c.first(ctx, from, after(root))
		if err != nil {
			return nil, err
		}
		if key == "" {
			return out, nil
		}
		name, _, below := strings.Cut(strings.TrimPrefix(key, root), "/")
		if !below { // a key of nobody's, beside the sites
			from = key + "\x00"
			continue
		}
		site, ok, err := c.site(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read site %s: %w", name, err)
		}
		if ok {
			out = append(out, site)
		}
		from = after(root + name + "/")
	}
	return out, nil
}

func (c *Client) site(ctx context.Context, name string) (Site, bool, error) {
	s := newSummary(name)
	prefix := root + name + "/"
	for _, part := range parts {
		from, to := prefix+part, prefix+part+"\x00"
		if strings.HasSuffix(part, "/") {
			to = after(from)
		}
		err := c.get(ctx, from, to, func(e entry) error {
			s.add(strings.TrimPrefix(string(e.Key), prefix), e.Value)
			return nil
		})
		if err != nil {
			return Site{}, false, err
		}
	}
	site, ok := s.done()
	return site, ok, nil
}
