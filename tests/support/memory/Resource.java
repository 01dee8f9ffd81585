import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Pattern;

/** The kinds that {@link Store} holds, each with the strategy by which the API server decodes, defaults and checks it. */
enum Resource {

    NAMESPACES("", "namespaces", "Namespace", false, true, Set.of("spec", "status")),
    PODS("", "pods", "Pod", false, true, Set.of("spec", "status")),
    LEASES("coordination.k8s.io", "leases", "Lease", true, false, Set.of("spec")),
    /** Core events. Their many fields are kept as they come. */
    EVENTS("", "events", "Event", true, true, Set.of());

    private static final Set<String> METADATA = Set.of("name", "generateName", "namespace", "uid", "resourceVersion", "generation",
            "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences");
    private static final Map<String, Class<?>> LEASE_SPEC = Map.of("holderIdentity", String.class, "leaseDurationSeconds", Long.class,
            "acquireTime", String.class, "renewTime", String.class, "leaseTransitions", Long.class);
    private static final Pattern MICRO_TIME = Pattern.compile("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}(Z|[+-]\\d\\d:\\d\\d)");
    private static final DateTimeFormatter MICROS = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSSX").withZone(ZoneOffset.UTC);

    /** API group, {@code ""} for the core group. */
    final String group;
    /** Plural name, as in URLs. */
    final String plural;
    final String kind;
    /** {@code v1} or {@code <group>/v1}. */
    final String apiVersion;
    /** Whether a PUT of an object that does not exist creates it. */
    final boolean createOnUpdate;
    /** Whether a write without resourceVersion overwrites whatever is there; otherwise it is refused. */
    final boolean unconditionalUpdate;
    /** Top-level fields beside apiVersion, kind and metadata; others are dropped. Empty: any. */
    private final Set<String> fields;

    Resource(String group, String plural, String kind, boolean createOnUpdate, boolean unconditionalUpdate, Set<String> fields) {
        this.group = group;
        this.plural = plural;
        this.kind = kind;
        this.apiVersion = group.isEmpty() ? "v1" : group + "/v1";
        this.createOnUpdate = createOnUpdate;
        this.unconditionalUpdate = unconditionalUpdate;
        this.fields = fields;
    }

    /** As messages name it: {@code leases.coordination.k8s.io}. */
    String qualified() {
        return group.isEmpty() ? plural : plural + "." + group;
    }

    /** Whether it has a status subresource, so that other writes leave the status alone. */
    boolean hasStatus() {
        return fields.contains("status");
    }

    /** A tree that its kind cannot hold. */
    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1;

        private Malformed(String message) {
            super(message, null, false, false);
        }
    }

    // ------------------------------------------------------------------------------------------------------------ decoding

    /**
     * The object as its Go type holds it: known fields only, each of its type, empty ones left out, defaults filled in.
     *
     * @throws Malformed if a field has another type or a time is not written as the API demands
     */
    Map<String, Object> decode(Map<String, Object> tree) throws Malformed {
        var object = new LinkedHashMap<String, Object>();
        object.put("kind", kind);
        object.put("apiVersion", apiVersion);
        object.put("metadata", decodeMetadata(decodeObject(tree, "metadata")));
        for (var entry : tree.entrySet()) {
            if (fields.isEmpty() || fields.contains(entry.getKey())) {
                object.putIfAbsent(entry.getKey(), entry.getValue());
            }
        }
        switch (this) {
            case LEASES -> object.put("spec", decodeLeaseSpec(decodeObject(tree, "spec")));
            case PODS -> object.put("spec", withDefaultGrace(decodeObject(tree, "spec")));
            case NAMESPACES, EVENTS -> { }
        }
        return object;
    }

    private static Map<String, Object> decodeMetadata(Map<String, Object> tree) throws Malformed {
        for (var field : List.of("labels", "annotations")) {
            for (var value : decodeObject(tree, field).values()) {
                checkType("metadata." + field, value, String.class);
            }
        }
        var metadata = new LinkedHashMap<String, Object>();
        tree.forEach((field, value) -> {
            if (METADATA.contains(field) && !value.equals("") && !value.equals(Map.of())) {
                metadata.put(field, value);
            }
        });
        return Collections.unmodifiableMap(metadata);
    }

    private static Map<String, Object> decodeLeaseSpec(Map<String, Object> tree) throws Malformed {
        var spec = new LinkedHashMap<String, Object>();
        for (var entry : tree.entrySet()) {
            var type = LEASE_SPEC.get(entry.getKey());
            if (type != null) {
                checkType("spec." + entry.getKey(), entry.getValue(), type);
                spec.put(entry.getKey(), entry.getKey().endsWith("Time") ? decodeMicroTime((String) entry.getValue()) : entry.getValue());
            }
        }
        return Collections.unmodifiableMap(spec);
    }

    /** Times of a Lease have exactly six digits after the point; nanoseconds, which Java likes to print, are refused. */
    private static String decodeMicroTime(String time) throws Malformed {
        if (!MICRO_TIME.matcher(time).matches()) {
            throw new Malformed("parsing time \"" + time + "\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse it");
        }
        return time.endsWith("Z") ? time : MICROS.format(OffsetDateTime.parse(time));
    }

    private static Map<String, Object> withDefaultGrace(Map<String, Object> spec) {
        return spec.containsKey("terminationGracePeriodSeconds") ? spec : Json.with(spec, "terminationGracePeriodSeconds", 30L);
    }

    private static Map<String, Object> decodeObject(Map<String, Object> tree, String field) throws Malformed {
        if (tree.containsKey(field)) {
            checkType(field, tree.get(field), Map.class);
        }
        return Json.object(tree, field);
    }

    private static void checkType(String field, Object value, Class<?> type) throws Malformed {
        if (!type.isInstance(value)) {
            throw new Malformed("json: cannot unmarshal " + value + " into Go struct field " + field + " of type " + type.getSimpleName());
        }
    }

    // ------------------------------------------------------------------------------------------------------------ checking

    /** What is wrong with that object; empty if nothing. */
    List<Refused.Cause> validate(Map<String, Object> object) {
        if (this != LEASES) {
            return List.of();
        }
        var causes = new ArrayList<Refused.Cause>();
        if (Json.at(object, "spec", "leaseDurationSeconds") instanceof Long seconds && seconds <= 0) {
            causes.add(Refused.Cause.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
        }
        if (Json.at(object, "spec", "leaseTransitions") instanceof Long transitions && transitions < 0) {
            causes.add(Refused.Cause.invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"));
        }
        return causes;
    }

    /** What is wrong with writing {@code next} over {@code current}, given what the client asked for; empty if nothing. */
    List<Refused.Cause> validateUpdate(Map<String, Object> current, Map<String, Object> proposed, Map<String, Object> next) {
        var causes = new ArrayList<Refused.Cause>();
        for (var field : List.of("uid", "deletionTimestamp", "deletionGracePeriodSeconds")) {
            var stored = Json.at(current, "metadata", field);
            var value = Json.at(proposed, "metadata", field);
            // Once a pod is terminating, another deletionTimestamp is ignored rather than refused.
            boolean ignored = field.equals("deletionTimestamp") && stored != null;
            if (value != null && !ignored && !value.equals(stored)) {
                var shown = value instanceof String ? "\"" + value + "\"" : value;
                causes.add(Refused.Cause.invalid("metadata." + field, shown, "field is immutable"));
            }
        }
        if (this == PODS && !Objects.equals(next.get("spec"), current.get("spec"))) {
            causes.add(new Refused.Cause("FieldValueForbidden", "spec", "Forbidden: pod updates may not change fields other than "
                    + "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
                    + "`spec.tolerations` (only additions to existing tolerations),"
                    + "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"));
        }
        causes.addAll(validate(next));
        return causes;
    }
}
