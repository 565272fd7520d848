package rpc

import (
	"net/http"
	"slices"
	"strings"
)

// route is one operation of the native API. The table of routes makes both the
// dispatch and the OpenAPI document.
type route struct {
	method  string
	pattern string // {fork}, {id}, {name}; {key...} takes the rest of the path
	id      string // of the operation, for generated clients
	summary string
	query   []string // names in parameters
	headers []string // names in parameters
	// body is the content type of the request's body; "" for none.
	body string
	// answers are the content types of the answer.
	answers []string
	// schema names the shape of the answer in schemas; "" for bytes or text.
	schema string
	// noun is what of the service may not be there; nil for nothing.
	noun  *noun
	serve func(x *exchange) error
}

func (r *route) takes(query string) bool { return slices.Contains(r.query, query) }

// writes reports whether the route changes what is stored.
func (r *route) writes() bool { return slices.Contains(r.headers, headerMessage) }

const forkPath = forksPath + "/{fork}"

var (
	bothLists    = []string{contentJSON, contentLines}
	writeHeaders = []string{headerAuthor, headerMessage, headerTimeout}
	condHeaders  = []string{headerAuthor, headerMessage, headerTimeout, headerBase, "If-Match"}
	jsonAnswer   = []string{contentJSON}
)

// routes is the table of the native API.
func routes() []route {
	return waitingRoutes(slices.Concat(
		keyRoutes(), elementRoutes(), historyRoutes(), changeRoutes(), forkRoutes(), mergeRoutes(), pointerRoutes(), resetRoutes(), purgeRoutes(), archiveRoutes(),
		seriesRoutes(), policyRoutes(), nodeRoutes(),
	))
}

func keyRoutes() []route {
	return []route{
		{
			method: "GET", pattern: forkPath + "/kv/{key...}", id: "get", serve: (*exchange).getKV,
			summary: "The value's bytes. 404 with an ETag if the key is not there. With path, what stands there in a json or yaml: a string as its text, anything else in the notation of the kind; 404 if nothing does.",
			query:   []string{"rev", "at", "after", "path", "served"}, headers: []string{"If-None-Match", headerTimeout}, answers: []string{contentBytes},
		},
		{
			method: "PUT", pattern: forkPath + "/kv/{key...}", id: "put", serve: (*exchange).putKV,
			summary: "Writes a value; the body is its bytes. If-Match and If-None-Match: * decide on this node. With path, only what stands there in a json or yaml: the body is in the notation of the kind, or, as text/plain, a string as such. 422 with line and column if it does not parse.",
			query:   []string{"create_fork", "otherwise", "path"}, headers: append([]string{headerKind, "If-None-Match"}, condHeaders...),
			body: contentBytes, answers: jsonAnswer, schema: "Written",
		},
		{
			method: "DELETE", pattern: forkPath + "/kv/{key...}", id: "delete", serve: (*exchange).deleteKV,
			summary: "Deletes a key, or, with path, what stands there in a json or yaml. Deleting nothing writes nothing.",
			query:   []string{"path"}, headers: condHeaders, answers: jsonAnswer, schema: "Written",
		},
		{
			method: "GET", pattern: forkPath + "/kv", id: "list", serve: (*exchange).listKV,
			summary: "Keys with their values, of one snapshot, in byte order.",
			query:   []string{"prefix", "after", "limit", "at", "meta", "served", "after_block"}, headers: []string{headerTimeout}, answers: bothLists, schema: "Entries",
		},
		{
			method: "DELETE", pattern: forkPath + "/kv", id: "deletePrefix", serve: (*exchange).deletePrefix,
			summary: "Deletes every key below a prefix, in one atomic change.",
			query:   []string{"prefix"}, headers: writeHeaders, answers: jsonAnswer, schema: "Written",
		},
		{
			method: "GET", pattern: forkPath + "/entry/{key...}", id: "entry", serve: (*exchange).getEntry,
			summary: "Everything that is known of a key, also of one that is not there.",
			query:   []string{"rev", "at", "after", "path", "served", "meta", "bare"}, headers: []string{headerTimeout}, answers: jsonAnswer, schema: "Entry",
		},
		{
			method: "GET", pattern: forkPath + "/keys", id: "keys", serve: (*exchange).listKeys,
			summary: "Keys in byte order.",
			query:   []string{"prefix", "after", "limit", "at", "after_block"}, headers: []string{headerTimeout}, answers: bothLists, schema: "Keys",
		},
		{
			method: "GET", pattern: forkPath + "/info/{key...}", id: "info", serve: (*exchange).getInfo,
			summary: "What is known of a key, without its value.", answers: jsonAnswer, schema: "Info",
		},
	}
}

func historyRoutes() []route {
	logQuery := []string{"after", "limit", "since", "author", "node", "values", "graph"}
	return []route{
		{
			method: "GET", pattern: forkPath + "/log/{key...}", id: "log", serve: (*exchange).getLog,
			summary: "The history of a key, newest first.", query: logQuery, answers: bothLists, schema: "Log",
		},
		{
			method: "GET", pattern: forkPath + "/log", id: "logFork", serve: (*exchange).getLog,
			summary: "The history of the keys below a prefix that ends in a slash, or of the fork with its operations, newest first.",
			query:   append([]string{"prefix"}, logQuery...), answers: bothLists, schema: "Log",
		},
		{
			method: "GET", pattern: "/api/v1/log", id: "logAll", serve: (*exchange).getLog,
			summary: "The history of every fork, with all operations, newest first.", query: logQuery, answers: bothLists, schema: "Log",
		},
		{
			method: "GET", pattern: forkPath + "/watch", id: "watch", serve: (*exchange).watch,
			summary: "Changes as they come: a line each, or server-sent events whose ids are cursors, or with wait one answer.",
			query:   []string{"prefix", "since", "state", "idle", "wait", "limit"}, headers: []string{"Last-Event-Id"},
			answers: []string{contentLines, contentEvents, contentJSON}, schema: "Events",
		},
		{
			method: "GET", pattern: "/api/v1/show/{id}", id: "show", serve: (*exchange).getShown,
			summary: "A revision, block or conflict, by its id or the distinctive part of it.", answers: jsonAnswer, schema: "Shown",
		},
		{
			method: "GET", pattern: "/api/v1/revisions/{id}", id: "revision", serve: (*exchange).getRevision,
			summary: "A revision, by its CID or the distinctive part of it.", answers: jsonAnswer, schema: "LogEntry",
		},
		{
			method: "GET", pattern: "/api/v1/blocks/{id}", id: "block", serve: (*exchange).getBlock,
			summary: "A block, by its CID or the distinctive part of it.", answers: jsonAnswer, schema: "Block",
		},
	}
}

func changeRoutes() []route {
	return []route{
		{
			method: "POST", pattern: forkPath + "/batch", id: "batch", serve: (*exchange).postBatch,
			summary: "Writes many keys in one atomic change; equal values are skipped. The body is an object, or a file a line with the options in the query.",
			query:   []string{"prefix", "prune", "plan", "as"}, headers: writeHeaders, body: "Batch", answers: jsonAnswer, schema: "Applied",
		},
		{
			method: "POST", pattern: forkPath + "/rollback", id: "rollback", serve: (*exchange).postRollback,
			summary: "Writes the value again that a key had at a revision, time or block.",
			headers: writeHeaders, body: "Rollback", answers: jsonAnswer, schema: "RolledBack",
		},
	}
}

func nodeRoutes() []route {
	return []route{
		{
			method: "GET", pattern: "/api/v1/status", id: "status", serve: (*exchange).getStatus,
			summary: "The node and its peers.", answers: jsonAnswer, schema: "Status",
		},
		{
			method: "GET", pattern: "/api/v1/peers", id: "peers", serve: (*exchange).getPeers,
			summary: "The other members as this node sees them, and the zones.", answers: jsonAnswer, schema: "Peers",
		},
		{
			method: "GET", pattern: "/api/v1/members", id: "members", serve: (*exchange).getMembers,
			summary: "The member list of the cluster.", answers: jsonAnswer, schema: "Members",
		},
		{
			method: "POST", pattern: "/api/v1/members", id: "addMember", serve: (*exchange).postMember,
			summary: "Adds a member, or changes one: what is left out stays. 412 if another has the name.",
			headers: writeHeaders, body: "Member", answers: jsonAnswer, schema: "MemberChange",
		},
		{
			method: "DELETE", pattern: "/api/v1/members/{id}", id: "removeMember", serve: (*exchange).deleteMember,
			summary: "Removes a member, by its id or its name: no node talks to it any more. What it wrote stays.",
			headers: writeHeaders, answers: jsonAnswer, schema: "MemberChange",
		},
		{
			method: "POST", pattern: "/api/v1/join", id: "join", serve: (*exchange).postJoin,
			summary: "Joins the cluster of the node at an address; this node was added there before. Data of its own is discarded or imported as a fork, as the request says, else it is refused.",
			headers: []string{headerAuthor, headerTimeout}, body: "Join", answers: jsonAnswer, schema: "Joined",
		},
		{
			method: "GET", pattern: "/api/v1/verify", id: "verify", serve: (*exchange).getVerify,
			summary: "Checks the whole store; a fault a line, none if it is clean. With progress, lines with done and total stand between.",
			query:   []string{"progress"}, answers: []string{contentLines}, schema: "Fault",
		},
		{
			method: "POST", pattern: "/api/v1/repair", id: "repair", serve: (*exchange).postRepair,
			summary: "Takes good copies of damaged blocks from other nodes; a line for each block that was damaged, none if there were none.",
			query:   []string{"progress"}, answers: []string{contentLines}, schema: "Fault",
		},
		{
			method: "GET", pattern: "/api/v1/openapi.json", id: "openapi", serve: (*exchange).getOpenAPI,
			summary: "This document.", answers: jsonAnswer,
		},
		{
			method: "GET", pattern: "/-/livez", id: "livez", serve: (*exchange).livez,
			summary: "200 while the process serves.", answers: []string{contentText},
		},
		{
			method: "GET", pattern: "/-/readyz", id: "readyz", serve: (*exchange).readyz,
			summary: "200 when the node takes requests, else 503.", answers: []string{contentText},
		},
		{
			method: "GET", pattern: "/-/metrics", id: "metrics", serve: (*exchange).getMetrics,
			summary: "Metrics in the text format of Prometheus.", answers: []string{contentText},
		},
	}
}

// node is a place in the tree of routes, by segments.
type node struct {
	literal map[string]*node
	param   *node             // any one segment
	name    string            // of param
	rest    map[string]*route // by method: a key that takes all that is left
	routes  map[string]*route // by method: the path ends here
}

func newTree(all []route) *node {
	root := &node{}
	for i := range all {
		root.add(&all[i], strings.TrimPrefix(all[i].pattern, "/"))
	}
	return root
}

func (n *node) add(r *route, pattern string) {
	if pattern == "" {
		n.routes = withRoute(n.routes, r)
		return
	}
	segment, rest := cutSegment(pattern)
	switch {
	case segment == "{key...}":
		n.rest = withRoute(n.rest, r)
	case segment[0] == '{':
		if n.param == nil {
			n.param, n.name = &node{}, strings.Trim(segment, "{}")
		}
		n.param.add(r, rest)
	default:
		if n.literal == nil {
			n.literal = make(map[string]*node)
		}
		if n.literal[segment] == nil {
			n.literal[segment] = &node{}
		}
		n.literal[segment].add(r, rest)
	}
}

func withRoute(m map[string]*route, r *route) map[string]*route {
	if m == nil {
		m = make(map[string]*route)
	}
	m[r.method] = r
	return m
}

// find returns the route of a path, and sets what the path names.
func (n *node) find(x *exchange, path string) (*route, error) {
	for path != "" {
		if n.rest != nil {
			var err error
			if x.key, err = unescape(path); err != nil {
				return nil, err
			}
			return pick(x, n.rest)
		}
		var segment string
		segment, path = cutSegment(path)
		switch {
		case n.literal[segment] != nil:
			n = n.literal[segment]
		case n.param != nil:
			value, err := unescape(segment)
			if err != nil {
				return nil, err
			}
			if n.name == "fork" {
				x.fork = value
			} else {
				x.id = value
			}
			n = n.param
		default:
			return nil, noRoute()
		}
	}
	return pick(x, n.routes)
}

func noRoute() error {
	return &Error{Code: CodeNotFound, Message: "there is no such route: /api/v1/openapi.json lists them"}
}

// pick returns the route for the request's method. HEAD is GET: net/http
// leaves the body out.
func pick(x *exchange, routes map[string]*route) (*route, error) {
	if len(routes) == 0 {
		return nil, noRoute()
	}
	method := x.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if r := routes[method]; r != nil {
		return r, nil
	}
	allowed := make([]string, 0, len(routes)+1)
	for m := range routes {
		allowed = append(allowed, m)
	}
	if routes[http.MethodGet] != nil {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	return nil, x.methodError(allowed...)
}
