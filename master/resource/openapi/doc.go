// Package openapi describes the served kinds in OpenAPI v3, one document a group and version, for `kubectl
// explain`, for kubectl's choice of validation and patch strategies, and for server-side apply; and, for kubectl
// before 1.27, all of them in one document of OpenAPI v2.
//
//	Go types ── reflection ──► Models ──► Document (paths, operations) ──► Documents (JSON, gzip) ──► clients
//	                                          └─► Swagger (v2) ──► JSON, or Protobuf, gzip ──────────────┘
//
// Everything comes from the types of k8s.io/api themselves: names from OpenAPIModelName, descriptions from
// SwaggerDoc, merge keys from struct tags, so it can't go stale. It is pure. What costs memory is built at the
// first request and kept compressed, once.
package openapi
