import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Ends a request with the refusal that the API server gives: status, reason, message and details of a {@code Status}.
 *
 * <p>{@link Store} and {@link InMemoryServer} throw it inside and never let it out. It carries no stack trace because a simulation is
 * refused by the million.
 */
final class Refused extends RuntimeException {

    private static final long serialVersionUID = 1;

    private final transient Store.Failed failed;

    /** What is wrong with one field of an invalid object; the message starts with {@code Invalid value} or the like. */
    record Cause(String reason, String field, String message) {

        /** A value that is not allowed; {@code shown} as the message shows it. */
        static Cause invalid(String field, Object shown, String why) {
            return new Cause("FieldValueInvalid", field, "Invalid value: " + shown + ": " + why);
        }
    }

    private Refused(int status, String reason, String message, Map<String, Object> details) {
        super(message, null, false, false);
        failed = new Store.Failed(status, reason, message, details);
    }

    /** The answer. */
    Store.Failed failed() {
        return failed;
    }

    /** 404. */
    static Refused notFound(Resource resource, String name) {
        return new Refused(404, "NotFound", resource.qualified() + quoted(name) + " not found", details(resource, name));
    }

    /** 409 of a POST. */
    static Refused alreadyExists(Resource resource, String name) {
        return new Refused(409, "AlreadyExists", resource.qualified() + quoted(name) + " already exists", details(resource, name));
    }

    /** 409 of a write. */
    static Refused conflict(Resource resource, String name, String why) {
        return new Refused(409, "Conflict", "Operation cannot be fulfilled on " + resource.qualified() + quoted(name) + ": " + why,
                details(resource, name));
    }

    /** 409 of a DELETE with preconditions, which names the kind where others name the resource. */
    static Refused precondition(Resource resource, String name, String field, String wanted, String stored, String why) {
        return new Refused(409, "Conflict", "Operation cannot be fulfilled on " + qualified(resource.kind, resource.group) + quoted(name)
                + ": the " + field + " in the precondition (" + wanted + ") does not match the " + field + " in record (" + stored + "). "
                + why, details(name, resource.group, resource.kind));
    }

    /** 422 of an object that breaks rules; at least one. */
    static Refused invalid(Resource resource, String name, List<Cause> causes) {
        return invalid(name, resource.group, resource.kind, causes);
    }

    /** 422 of a write without the resourceVersion that its kind demands. */
    static Refused unconditional(Resource resource, String name) {
        return invalid(name, resource.group, resource.plural,
                List.of(Cause.invalid("metadata.resourceVersion", 0, "must be specified for an update")));
    }

    /** 422 of a patch whose outcome its kind cannot hold. */
    static Refused unusablePatch(Map<String, Object> merged, String why) {
        var shown = "\"" + Json.print(merged).replace("\"", "\\\"") + "\"";
        return invalid("", "", "", List.of(Cause.invalid("patch", shown, why)));
    }

    /** 400. */
    static Refused badRequest(String message) {
        return new Refused(400, "BadRequest", message, Map.of());
    }

    /**
     * 403.
     *
     * @param resource  plural, with its subresource
     * @param namespace {@code ""} if none
     * @param name      {@code ""} if none
     */
    static Refused forbidden(String user, String verb, String group, String resource, String namespace, String name) {
        var plural = resource.replaceFirst("/.*", "");
        var where = namespace.isEmpty() ? "at the cluster scope" : "in the namespace \"" + namespace + "\"";
        return new Refused(403, "Forbidden", qualified(plural, group) + (name.isEmpty() ? "" : quoted(name)) + " is forbidden: User"
                + quoted(user) + " cannot " + verb + " resource" + quoted(resource) + " in API group" + quoted(group) + " " + where,
                details(name, group, plural));
    }

    /** 422 of an option of a list or watch. */
    static Refused forbiddenOption(String option, String why) {
        return invalid("", "meta.k8s.io", "ListOptions", List.of(new Cause("FieldValueForbidden", option, "Forbidden: " + why)));
    }

    /** 405. */
    static Refused methodNotAllowed() {
        return new Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", Map.of());
    }

    /** 415: a body or a patch of a type that is not served. */
    static Refused unsupportedMediaType(String message) {
        return new Refused(415, "UnsupportedMediaType", message, Map.of());
    }

    /** 504: a list that should not be older than a version that is yet to come. */
    static Refused futureVersion(long version, long current) {
        return new Refused(504, "Timeout", "Timeout: Too large resource version: " + version + ", current: " + current,
                Map.of("causes", List.of(Map.of("reason", "ResourceVersionTooLarge", "message", "Too large resource version")),
                        "retryAfterSeconds", 1));
    }

    /** 500 without reason: how the API server answers some mistakes of the client. */
    static Refused internal(String message) {
        return new Refused(500, "", message, Map.of());
    }

    private static Refused invalid(String name, String group, String kind, List<Cause> causes) {
        var wrong = causes.stream().map(cause -> cause.field + ": " + cause.message).collect(Collectors.joining(", "));
        var listed = causes.stream()
                .map(cause -> Map.<String, Object>of("reason", cause.reason, "message", cause.message, "field", cause.field)).toList();
        return new Refused(422, "Invalid",
                qualified(kind, group) + quoted(name) + " is invalid: " + (causes.size() == 1 ? wrong : "[" + wrong + "]"),
                Json.with(details(name, group, kind), "causes", listed));
    }

    private static Map<String, Object> details(Resource resource, String name) {
        return details(name, resource.group, resource.plural);
    }

    private static Map<String, Object> details(String name, String group, String kind) {
        var details = new LinkedHashMap<String, Object>();
        details.put("name", name);
        details.put("group", group);
        details.put("kind", kind);
        details.values().removeIf(""::equals);
        return details;
    }

    private static String qualified(String kind, String group) {
        return group.isEmpty() ? kind : kind + "." + group;
    }

    private static String quoted(String name) {
        return " \"" + name + "\"";
    }
}
