package rpc

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// object is a JSON object of the OpenAPI document.
type object = map[string]any

// parameters describes the query parameters and headers of the table.
var parameters = map[string]string{
	"a":           "A fork, or FORK@AT with AT an RFC 3339 time, a block or a tag.",
	"after":       "Of a list: continue after this element, the member next of the page before. Of a read: wait until the node has this block (a CID or its distinctive part), else 503.",
	"after_block": "Wait until the node has this block (a CID or its distinctive part), else 503.",
	"at":          "Read the view at an RFC 3339 time, or at a block's CID or its distinctive part.",
	"author":      "Only revisions of this author.",
	"b":           "As a: what to compare it with.",
	"by":          "What to add to the counter; 1 if not given.",
	"bare":        "true: leave block, node, author and message out, which is faster.",
	"create_fork": "true: name the fork into being if it does not exist.",
	"expect":      "Only if the alias points at this fork, else 412.",
	"force":       "true: also with writes that no other fork has.",
	"fork":        "Only of this fork.",
	"idle":        "A duration: an event of type idle at the end of the feed, and then this often.",
	"key":         "Only this key, or those below it if it ends in a slash.",
	"limit":       "The most elements; 1,000 if not given (lines: all), at most 10,000.",
	"meta":        "true: leave values out.",
	"node":        "Only revisions of this node.",
	"otherwise":   "The kind, as in Crush-Kind, of a key that has none and that no policy has one for; bytes if not given.",
	"path":        "A place in a json or yaml: / and the name of a member for each step down, in which ~1 stands for / and ~0 for ~; [ID] is an element of a keyed list. / is all of it.",
	"plan":        "true: only say what would be written.",
	"prefix":      "Only keys that begin with it.",
	"progress":    "true: say in lines of their own how far it is.",
	"as":          "The name of the job that applies its files again and again: of a key that it wrote before, it has read what it wrote then.",
	"prune":       "true: delete keys below prefix that the batch does not have.",
	"rev":         "Read the value of one revision: a CID, its distinctive part, or head~N.",
	"sent":        "How many changes of the series other requests hold that were sent before this one, which waits for them: so the next can be on its way while one is written.",
	"served":      "winner: also the value of a key in conflict of which a policy serves nothing then; else that is 409, and in a list an entry that is withheld.",
	"since":       "Of log an RFC 3339 time; of watch now, start, an RFC 3339 time or a cursor.",
	"state":       "true: the present keys come first, as put events.",
	"values":      "true: with values.",
	"graph":       "That many of the newest changes by which the fork came to show what it shows, each with what it stands on (before).",
	"wait":        "Of a write: answer when it is on the disk of this many other nodes, or, zones, of one in each zone; 504 with the answer as written if they have not said so in time. Of watch a duration: long poll. One answer, at once if there are events, else when there are or after this long.",

	headerAuthor:    "Who writes, as claimed. UTF-8'' and percent-encoding for any text.",
	headerMessage:   "Why. UTF-8'' and percent-encoding for any text.",
	headerBase:      "Write with the context that this token names; newer heads become siblings.",
	headerKind:      "bytes, text, json, yaml, counter or set; else the Content-Type says, else it stays.",
	headerTimeout:   "A duration after which the node gives up waiting; a minute if not given.",
	"If-Match":      "Write only if the heads are exactly this token's, else 412.",
	"If-None-Match": "Of a read: 304 if the token is this one. Of a write: *, only if the key is not there, else 412.",
	"Last-Event-Id": "Continue after this cursor.",
}

func (x *exchange) getOpenAPI() error { return x.writeAny(openAPI(routes(), x.limits)) }

// openAPI makes the document from the table.
func openAPI(all []route, limits Limits) object {
	paths := object{}
	for i := range all {
		r := &all[i]
		path := strings.Replace(r.pattern, "{key...}", "{key}", 1)
		item, ok := paths[path].(object)
		if !ok {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(r.method)] = r.operation()
	}
	return object{
		"openapi": "3.0.3",
		"info": object{
			"title":   "crush",
			"version": "1",
			"description": "The native API of a crush node. In the path of a key, / and %2F are the same. " +
				"A value has at most " + strconv.FormatInt(limits.Value, 10) + " bytes.",
		},
		"paths":      paths,
		"components": object{"schemas": schemas()},
	}
}

func (r *route) operation() object {
	op := object{"operationId": r.id, "summary": r.summary, "responses": r.responses()}
	var params []object
	for segment := range strings.SplitSeq(r.pattern, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
			params = append(params, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	for _, name := range r.query {
		params = append(params, parameter(name, "query"))
	}
	for _, name := range r.headers {
		params = append(params, parameter(name, "header"))
	}
	if params != nil {
		op["parameters"] = params
	}
	switch r.body {
	case "":
	case contentBytes, contentCAR:
		op["requestBody"] = object{"required": true, "content": object{r.body: object{"schema": bytesSchema}}}
	case "Batch":
		op["requestBody"] = object{"required": true, "content": object{
			contentOfJSON: object{"schema": reference("Batch")}, contentLines: object{"schema": reference("File")},
		}}
	case "SeriesChange":
		op["requestBody"] = object{"required": true, "content": object{contentLines: object{"schema": reference(r.body)}}}
	default:
		op["requestBody"] = object{"required": true, "content": object{contentOfJSON: object{"schema": reference(r.body)}}}
	}
	return op
}

// contentOfJSON is contentJSON as OpenAPI names it.
const contentOfJSON = "application/json"

func parameter(name, in string) object {
	return object{"name": name, "in": in, "description": parameters[name], "schema": object{"type": "string"}}
}

// lineSchemas are the elements of the lists that can also come as lines.
var lineSchemas = map[string]string{
	"Entries": "Entry", "Log": "LogEntry", "Events": "Event", "Fault": "Fault", "Conflicts": "Conflict", "Differences": "Difference",
	"Blame":       "BlameLine",
	"SeriesEntry": "SeriesEntry",
}

func (r *route) responses() object {
	content := object{}
	for _, media := range r.answers {
		schema := object{"type": "string"}
		switch line := lineSchemas[r.schema]; {
		case media == contentLines && line != "":
			schema = reference(line)
		case media == contentJSON && r.schema != "":
			schema = reference(r.schema)
		case media == contentJSON:
			schema = object{"type": "object"}
		case media == contentBytes, media == contentCAR:
			schema = bytesSchema
		}
		media, _, _ = strings.Cut(media, ";")
		content[media] = object{"schema": schema}
	}
	failed := object{"description": "What went wrong.", "content": object{contentOfJSON: object{"schema": reference("Error")}}}
	return object{"200": object{"description": r.summary, "content": content}, "default": failed}
}

func reference(schema string) object { return object{"$ref": "#/components/schemas/" + schema} }

var bytesSchema = object{"type": "string", "format": "binary"}

// schemas describes the shapes by an example of each in the words of Go: the
// members that it marshals to are the members of the schema.
func schemas() object {
	out := object{
		"Error": object{"type": "object", "properties": object{"error": object{
			"type": "object", "properties": object{"code": codeSchema(), "message": object{"type": "string"}},
		}, "plan": reference("Merged"), "written": object{"type": "object"}}},
		"Conflicts":   listSchema("conflicts", reference("Conflict")),
		"Differences": listSchema("differences", reference("Difference")),
		"ElementsChange": object{"type": "object", "properties": object{
			"add": arraySchema(object{"type": "string"}), "remove": arraySchema(object{"type": "string"}),
		}},
		"Forks":      wholeSchema("forks", reference("Fork")),
		"Tags":       wholeSchema("tags", reference("Pointer")),
		"Aliases":    wholeSchema("aliases", reference("Pointer")),
		"Elements":   listSchema("elements", object{"type": "string"}),
		"Blame":      listSchema("blame", reference("BlameLine")),
		"Keys":       listSchema("keys", object{"type": "string"}),
		"Entries":    listSchema("entries", reference("Entry")),
		"Log":        listSchema("log", reference("LogEntry")),
		"Peers":      object{"type": "object", "properties": object{"peers": arraySchema(reference("Peer")), "zones": arraySchema(reference("Zone"))}},
		"Policies":   wholeSchema("policies", reference("Policy")),
		"Members":    wholeSchema("members", reference("Member")),
		"Events":     object{"type": "object", "properties": object{"events": arraySchema(reference("Event")), "cursor": object{"type": "string"}}},
		"Shown":      object{"type": "object", "properties": object{"revision": reference("LogEntry"), "block": reference("Block"), "conflict": reference("Conflict")}},
		"OpenSeries": object{"type": "object", "required": []string{"prefix"}, "properties": object{"prefix": object{"type": "string"}}},
		"Rollback":   object{"type": "object", "required": []string{"key", "to"}, "properties": object{"key": object{"type": "string"}, "to": object{"type": "string"}, "plan": object{"type": "boolean"}}},
		"Batch": object{"type": "object", "properties": object{
			"files": arraySchema(reference("File")), "prefix": object{"type": "string"}, "prune": object{"type": "boolean"}, "plan": object{"type": "boolean"}, "as": object{"type": "string"},
		}},
	}
	for name, examples := range schemaExamples() {
		shape := schemaOf(examples[0])
		for _, other := range examples[1:] {
			maps.Copy(shape["properties"].(object), schemaOf(other)["properties"].(object))
		}
		out[name] = shape
	}
	out["Entry"].(object)["properties"].(object)["document"] = object{"description": "The value of a json or yaml, parsed."}
	out["Difference"].(object)["properties"].(object)["fields"] = arraySchema(object{
		"type": "object", "description": "Where two documents differ.", "properties": object{"path": object{"type": "string"}, "a": object{}, "b": object{}},
	})
	return out
}

// wholeSchema is that of a list without pages.
func wholeSchema(name string, element object) object {
	return object{"type": "object", "properties": object{name: arraySchema(element)}}
}

func listSchema(name string, element object) object {
	return object{"type": "object", "properties": object{name: arraySchema(element), "next": object{"type": "string"}}}
}

func arraySchema(element object) object { return object{"type": "array", "items": element} }

func codeSchema() object {
	return object{"type": "string", "enum": slices.Sorted(maps.Keys(codes))}
}

// schemaOf reads the schema off the JSON of an example.
func schemaOf(example any) object {
	data, err := json.Marshal(example)
	if err != nil {
		panic("rpc: marshal example: " + err.Error())
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		panic("rpc: read example: " + err.Error())
	}
	return shapeOf(v)
}

func shapeOf(v any) object {
	switch v := v.(type) {
	case string:
		return object{"type": "string"}
	case bool:
		return object{"type": "boolean"}
	case float64:
		return object{"type": "integer", "format": "int64"}
	case []any:
		if len(v) == 0 {
			return arraySchema(object{"type": "string"})
		}
		return arraySchema(shapeOf(v[0]))
	case map[string]any:
		properties := object{}
		for name, member := range v {
			properties[name] = shapeOf(member)
		}
		return object{"type": "object", "properties": properties}
	}
	return object{"type": "string", "nullable": true}
}
