import com.google.gson.JsonParseException;
import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A request to {@link InMemoryServer} for a stored object or a collection, read from its path and query.
 *
 * @param verb      {@code get}, {@code list}, {@code watch}, {@code create}, {@code update}, {@code patch} or {@code delete}; {@code ""} if
 *                  the method is not served there
 * @param namespace {@code ""} if the path names none
 * @param name      {@code ""} if the path names a collection
 * @param status    whether the status subresource is meant
 * @param eventsV1  whether events are meant as events.k8s.io/v1 shows them
 * @param body      as it came, {@code ""} if none
 */
record ApiRequest(String verb, Resource resource, String namespace, String name, boolean status, boolean eventsV1,
                  Map<String, String> query, String contentType, String body) {

    /** Fields of an event in {@code v1} and what {@code events.k8s.io/v1} calls them; both show the same stored objects. */
    private static final Map<String, String> EVENTS_V1 = Map.of("involvedObject", "regarding", "message", "note",
            "reportingComponent", "reportingController", "source", "deprecatedSource", "count", "deprecatedCount",
            "firstTimestamp", "deprecatedFirstTimestamp", "lastTimestamp", "deprecatedLastTimestamp");

    /**
     * Reads {@code /api/v1/…} and {@code /apis/<group>/v1/…}, with or without a namespace; empty if no object can be there.
     *
     * @throws IOException if the client breaks off
     */
    static Optional<ApiRequest> read(HttpExchange exchange) throws IOException {
        var uri = exchange.getRequestURI();
        var parts = new ArrayList<>(Arrays.asList(uri.getPath().substring(1).split("/")));
        var apiVersion = apiVersion(parts);
        var namespace = "";
        if (parts.size() > 2 && parts.getFirst().equals("namespaces")) {
            namespace = parts.get(1);
            parts.subList(0, 2).clear();
        }
        var name = parts.size() > 1 ? parts.get(1) : "";
        boolean status = parts.size() == 3 && parts.get(2).equals("status");
        boolean eventsV1 = apiVersion.equals("events.k8s.io/v1");
        for (var resource : Resource.values()) {
            boolean there = (eventsV1 ? resource == Resource.EVENTS : apiVersion.equals(resource.apiVersion))
                    && !parts.isEmpty() && parts.getFirst().equals(resource.plural);
            if (there && (parts.size() <= 2 || status && resource.hasStatus())) {
                var query = query(uri.getRawQuery());
                return Optional.of(new ApiRequest(verb(exchange.getRequestMethod(), resource, !name.isEmpty(), query), resource, namespace,
                        name, status, eventsV1, query, exchange.getRequestHeaders().getFirst("Content-Type"), body(exchange)));
            }
        }
        return Optional.empty();
    }

    /**
     * The whole body as text.
     *
     * @throws Refused if it is in protobuf, which kubectl uses for some requests
     */
    static String body(HttpExchange exchange) throws IOException {
        var type = exchange.getRequestHeaders().getFirst("Content-Type");
        if (type != null && type.contains("protobuf")) {
            throw Refused.unsupportedMediaType("the body of the request was in an unknown format"
                    + " - accepted media types include: application/json");
        }
        return new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    }

    /** Takes {@code api/v1} or {@code apis/<group>/v1} from the front of a path; {@code ""} if it starts with neither. */
    private static String apiVersion(List<String> parts) {
        int length = parts.getFirst().equals("api") ? 2 : 3;
        if (parts.size() < length || !List.of("api", "apis").contains(parts.getFirst())) {
            return "";
        }
        var front = parts.subList(0, length);
        var apiVersion = String.join("/", front.subList(1, length));
        front.clear();
        return apiVersion;
    }

    private static String verb(String method, Resource resource, boolean named, Map<String, String> query) {
        boolean watch = List.of("true", "1").contains(query.getOrDefault("watch", ""));
        boolean fixed = resource == Resource.NAMESPACES;
        return switch (method) {
            case "GET" -> named ? "get" : watch ? "watch" : "list";
            case "POST" -> named ? "" : "create";
            case "PUT" -> named && !fixed ? "update" : "";
            case "PATCH" -> named && !fixed ? "patch" : "";
            case "DELETE" -> named && !fixed ? "delete" : "";
            default -> "";
        };
    }

    private static Map<String, String> query(String raw) {
        var query = new HashMap<String, String>();
        for (var parameter : raw == null ? new String[0] : raw.split("&")) {
            var pair = parameter.split("=", 2);
            query.put(pair[0], pair.length < 2 ? "" : URLDecoder.decode(pair[1], StandardCharsets.UTF_8));
        }
        return query;
    }

    /** As access rules name it: {@code pods/status}. */
    String accessedResource() {
        return status ? resource.plural + "/status" : resource.plural;
    }

    /** The name as far as access rules know it: a list or watch may name one object, a create never does. */
    String accessedName() {
        return verb.equals("list") || verb.equals("watch") ? Optional.ofNullable(selectedName()).orElse("") : name;
    }

    /** What a list or watch selects. */
    Store.Selection selection() {
        try {
            return Store.Selection.all(resource, namespace.isEmpty() ? null : namespace).named(selectedName())
                    .labelled(LabelSelector.parse(query.get("labelSelector")));
        } catch (IllegalArgumentException e) {
            throw Refused.badRequest(e.getMessage());
        }
    }

    private String selectedName() {
        var selector = query.getOrDefault("fieldSelector", "").replace("==", "=");
        if (!selector.isEmpty() && !selector.startsWith("metadata.name=")) {
            throw Refused.badRequest("field label not supported: " + selector.replaceFirst("!?=.*", ""));
        }
        return selector.isEmpty() ? null : selector.substring("metadata.name=".length());
    }

    /** The resourceVersion in the query; 0 if there is none. */
    long version() {
        var version = query.getOrDefault("resourceVersion", "");
        try {
            return version.isEmpty() ? 0 : Long.parseUnsignedLong(version);
        } catch (NumberFormatException e) {
            throw Refused.internal("resourceVersion: Invalid value: \"" + version + "\": strconv.ParseUint: parsing \"" + version
                    + "\": invalid syntax");
        }
    }

    /** The object, patch or options that were sent. */
    Map<String, Object> tree() {
        try {
            var tree = Json.parse(body);
            var names = new HashMap<String, String>();
            EVENTS_V1.forEach((v1, other) -> names.put(other, v1));
            return eventsV1 ? renamed(tree, names) : tree;
        } catch (JsonParseException e) {
            throw Refused.badRequest((verb.equals("patch") ? "error decoding patch: " : "couldn't get version/kind; json parse error: ")
                    + e.getMessage());
        }
    }

    /** A stored object as the API version of this request shows it. */
    Map<String, Object> shown(Map<String, Object> object) {
        return eventsV1 ? Json.with(renamed(object, EVENTS_V1), "apiVersion", "events.k8s.io/v1") : object;
    }

    private static Map<String, Object> renamed(Map<String, Object> tree, Map<String, String> names) {
        var renamed = new LinkedHashMap<String, Object>();
        tree.forEach((field, value) -> renamed.put(names.getOrDefault(field, field), value));
        return renamed;
    }
}
