import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;

/**
 * What a Kubernetes API server stores and how it answers writes, without HTTP, threads, locks or a clock of its own.
 *
 * <p>Two fronts use it: {@link InMemoryServer} serves it over HTTP, and the simulation calls it directly. The conformance tests hold it to
 * a real kube-apiserver; statuses, reasons and messages are that server's.
 *
 * <p>Objects are immutable trees as {@link Json} makes them: one that was handed out never changes. Bodies are copied.
 *
 * <p><b>Invariant:</b> unless a {@link #restore backup is restored} or versions are {@link #skip skipped}, {@link #resourceVersion} grows by
 * exactly one with each {@link Revision} and by nothing else. A write that changes
 * nothing makes no revision, and no two states of any objects carry the same {@code metadata.resourceVersion}.
 *
 * <p>Left out: managedFields, finalizers, garbage collection, dry run, admission, defaults other than the grace period, validation of names
 * and labels, and the few changes of a pod's spec that are allowed. Not thread-safe: a front with threads locks around every call.
 */
final class Store {

    // ------------------------------------------------------------------------------------------------------------ requests and answers

    /** The answer to a request. */
    sealed interface Result permits Ok, Created, Failed { }

    /** HTTP 200: the object as it is now stored, or as it last was if it has just been removed. */
    record Ok(Map<String, Object> object) implements Result { }

    /** HTTP 201: a new object; also the answer to a PUT that created it. */
    record Created(Map<String, Object> object) implements Result { }

    /**
     * A refusal, which changed nothing. The components are those of a {@code Status} object.
     *
     * @param status  HTTP status
     * @param reason  {@code ""} where the API server gives none
     * @param details empty where the API server gives none
     */
    record Failed(int status, String reason, String message, Map<String, Object> details) implements Result {

        /** The {@code Status} object that a client gets. */
        Map<String, Object> toStatus() {
            var object = new LinkedHashMap<String, Object>(Map.of("kind", "Status", "apiVersion", "v1", "metadata", Map.of(),
                    "status", "Failure", "message", message, "code", status));
            if (!reason.isEmpty()) {
                object.put("reason", reason);
            }
            if (!details.isEmpty()) {
                object.put("details", details);
            }
            return object;
        }
    }

    /**
     * What a list or a watch asks for.
     *
     * @param namespace null for all namespaces
     * @param name      null for all names; otherwise what {@code fieldSelector=metadata.name=…} selects
     * @param labels    the label selector, given the object's labels (never null)
     */
    record Selection(Resource resource, String namespace, String name, Predicate<Map<String, Object>> labels) {

        /** All objects of a kind; a null namespace means every namespace. */
        static Selection all(Resource resource, String namespace) {
            return new Selection(resource, namespace, null, labels -> true);
        }

        /** The same, narrowed to one name; null for all names. */
        Selection named(String only) {
            return new Selection(resource, namespace, only, labels);
        }

        /** The same with this label selector instead. */
        Selection labelled(Predicate<Map<String, Object>> selector) {
            return new Selection(resource, namespace, name, selector);
        }

        private boolean matches(Id id, Map<String, Object> object) {
            return object != null
                    && (namespace == null || namespace.equals(id.namespace))
                    && (name == null || name.equals(id.name))
                    && labels.test(Json.object(object, "metadata", "labels"));
        }
    }

    /** The answer to a list: objects ordered by namespace and name, and the version at which they were read. */
    record Listing(List<Map<String, Object>> items, long resourceVersion) { }

    /** What a watch tells of an object. */
    enum EventType { ADDED, MODIFIED, DELETED }

    /** One event of a watch; the object carries the resourceVersion of the revision that caused it. */
    record WatchEvent(EventType type, Map<String, Object> object) { }

    /**
     * One change of one object.
     *
     * @param before null if the object was created
     * @param after  null if it was removed
     */
    record Revision(long resourceVersion, Resource resource, String namespace, String name,
                    Map<String, Object> before, Map<String, Object> after) {

        /**
         * What a watch of that selection sees of this change; empty if nothing. An object that enters the selection is ADDED. One that
         * leaves it is DELETED, in the last state that was selected but with this revision's version, as if it had been removed.
         */
        Optional<WatchEvent> seenBy(Selection selection) {
            if (resource != selection.resource) {
                return Optional.empty();
            }
            var id = new Id(namespace, name);
            boolean was = selection.matches(id, before);
            if (selection.matches(id, after)) {
                return Optional.of(new WatchEvent(was ? EventType.MODIFIED : EventType.ADDED, after));
            }
            return was ? Optional.of(new WatchEvent(EventType.DELETED, withVersion(before, resourceVersion))) : Optional.empty();
        }
    }

    /**
     * Options of a DELETE; null means not given.
     *
     * @param gracePeriodSeconds seconds until a pod should be gone; 0 removes it at once, a negative number counts as 1
     * @param uid                precondition: 409 if the object has another
     * @param resourceVersion    precondition: 409 if the object has another
     */
    record Deletion(Long gracePeriodSeconds, String uid, String resourceVersion) {
        /** The pod's own grace period, no preconditions. */
        static final Deletion DEFAULT = new Deletion(null, null, null);
        /** What a kubelet sends when the containers have ended. */
        static final Deletion NOW = new Deletion(0L, null, null);
    }

    private record Id(String namespace, String name) implements Comparable<Id> {
        @Override
        public int compareTo(Id other) {
            int byNamespace = namespace.compareTo(other.namespace);
            return byNamespace != 0 ? byNamespace : name.compareTo(other.name);
        }
    }

    // ------------------------------------------------------------------------------------------------------------ state

    private final Supplier<Instant> clock;
    private final Supplier<String> uids;
    private final Map<Resource, NavigableMap<Id, Map<String, Object>>> objects = new EnumMap<>(Resource.class);
    private final List<Consumer<Revision>> listeners = new ArrayList<>();
    /** The latest revisions, each at its resourceVersion modulo the length. */
    private final Revision[] history;
    /** Starts where etcd's does. */
    private long resourceVersion = 1;
    private long compacted = 1;

    /**
     * An empty store.
     *
     * @param clock   gives creationTimestamp and deletionTimestamp
     * @param uids    gives each new object its uid, see {@link #seededUids}
     * @param history how many revisions are kept for {@link #since}, at least 1
     */
    Store(Supplier<Instant> clock, Supplier<String> uids, int history) {
        this.clock = clock;
        this.uids = uids;
        this.history = new Revision[history];
        for (var resource : Resource.values()) {
            objects.put(resource, new TreeMap<>());
        }
    }

    /** Uids that look like the API server's and are the same for the same seed. */
    static Supplier<String> seededUids(long seed) {
        var random = new SplittableRandom(seed);
        return () -> new UUID(random.nextLong() & ~0xF000L | 0x4000L, random.nextLong() >>> 2 | Long.MIN_VALUE).toString();
    }

    // ------------------------------------------------------------------------------------------------------------ reading

    /** GET: {@link Ok} or 404. */
    Result get(Resource resource, String namespace, String name) {
        return answer(() -> new Ok(existing(resource, new Id(namespace, name))));
    }

    /** LIST, always of the newest state. */
    Listing list(Selection selection) {
        var all = objects.get(selection.resource);
        var range = selection.namespace == null ? all : all.tailMap(new Id(selection.namespace, ""));
        var items = new ArrayList<Map<String, Object>>();
        for (var entry : range.entrySet()) {
            if (selection.namespace != null && !selection.namespace.equals(entry.getKey().namespace)) {
                break;
            }
            if (selection.matches(entry.getKey(), entry.getValue())) {
                items.add(entry.getValue());
            }
        }
        return new Listing(items, resourceVersion);
    }

    /** The version of the newest revision. */
    long resourceVersion() {
        return resourceVersion;
    }

    /**
     * The revisions after that version, oldest first: what a watch delivers.
     *
     * @return empty if they are no longer all known; the watch then ends with {@link #expired}
     */
    Optional<List<Revision>> since(long version) {
        if (version < oldest()) {
            return Optional.empty();
        }
        var revisions = new ArrayList<Revision>();
        for (long next = version + 1; next <= resourceVersion; next++) {
            revisions.add(history[(int) (next % history.length)]);
        }
        return Optional.of(revisions);
    }

    /** The error of a watch from a version that is no longer known. */
    Failed expired(long version) {
        return new Failed(410, "Expired", "too old resource version: " + version + " (" + oldest() + ")", Map.of());
    }

    /** Forgets the revisions up to and including that version, as an API server does with all of them when it restarts. */
    void compact(long version) {
        compacted = Math.max(compacted, Math.min(version, resourceVersion));
    }

    private long oldest() {
        return Math.max(compacted, resourceVersion - history.length);
    }

    // ------------------------------------------------------------------------------------------------------------ backups

    /** A copy of everything at one version, for {@link #restore}. */
    static final class Backup {
        private final Map<Resource, NavigableMap<Id, Map<String, Object>>> objects = new EnumMap<>(Resource.class);
        private final long resourceVersion;

        private Backup(Map<Resource, NavigableMap<Id, Map<String, Object>>> objects, long resourceVersion) {
            objects.forEach((resource, all) -> this.objects.put(resource, new TreeMap<>(all)));
            this.resourceVersion = resourceVersion;
        }
    }

    /** Copies everything, as {@code etcdctl snapshot save} does. */
    Backup backup() {
        return new Backup(objects, resourceVersion);
    }

    /** Puts a copy back: objects and versions are as they were, and there is no revision that says so. Watches have to begin anew. */
    void restore(Backup backup) {
        backup.objects.forEach((resource, all) -> objects.put(resource, new TreeMap<>(all)));
        resourceVersion = backup.resourceVersion;
    }

    /** Objects that nobody here looks at have changed so many times. Revisions before that are no longer known. */
    void skip(long revisions) {
        resourceVersion += revisions;
        compacted = resourceVersion;
    }

    /** Has the listener called after each revision, before the request that made it is answered. It must not write to this store. */
    void onRevision(Consumer<Revision> listener) {
        listeners.add(listener);
    }

    // ------------------------------------------------------------------------------------------------------------ writing

    /**
     * POST: {@link Created}, 409 AlreadyExists, 400 or 422. A uid in the body is ignored; a resourceVersion is refused. With generateName
     * instead of a name, five characters are appended to it.
     */
    Result create(Resource resource, String namespace, Map<String, ?> body) {
        return answer(() -> {
            var object = decodeBody(resource, body);
            var name = Json.text(object, "metadata", "name");
            var prefix = Json.text(object, "metadata", "generateName");
            if (name == null && prefix == null) {
                throw Refused.invalid(resource, "", List.of(new Refused.Cause("FieldValueRequired", "metadata.name",
                        "Required value: name or generateName is required")));
            }
            var id = new Id(namespace, name != null ? name : prefix + uids.get().substring(0, 5));
            checkNamespace(id, object);
            if (version(object) != 0) {
                throw Refused.internal("resourceVersion should not be set on objects to be created");
            }
            check(resource, id, resource.validate(object));
            if (objects.get(resource).containsKey(id)) {
                throw Refused.alreadyExists(resource, id.name);
            }
            return new Created(insert(resource, id, object));
        });
    }

    /**
     * PUT. With a resourceVersion it succeeds on that version only (409), with a uid on that object only (409). Without a resourceVersion
     * it overwrites a pod, and is refused for an existing Lease (422).
     *
     * <p>A Lease that does not exist is <em>created</em> (201) whatever resourceVersion the body carries; only a uid in the body prevents
     * that (409).
     */
    Result replace(Resource resource, String namespace, String name, Map<String, ?> body) {
        return put(resource, new Id(namespace, name), body, false);
    }

    /** PUT on the status subresource: the spec is kept, but labels and annotations <em>are</em> replaced by the body's. */
    Result replaceStatus(Resource resource, String namespace, String name, Map<String, ?> body) {
        return put(resource, new Id(namespace, name), body, true);
    }

    /**
     * PATCH by RFC 7386. A resourceVersion in the patch makes it conditional (409); another uid than the object's is an attempt to change
     * it (422). A pod's status is not touched.
     */
    Result patch(Resource resource, String namespace, String name, Map<String, ?> patch) {
        return patch(resource, new Id(namespace, name), patch, false);
    }

    /** PATCH on the status subresource; see {@link #replaceStatus}. */
    Result patchStatus(Resource resource, String namespace, String name, Map<String, ?> patch) {
        return patch(resource, new Id(namespace, name), patch, true);
    }

    /**
     * DELETE. A scheduled pod with a grace period only gets its deletionTimestamp; the kubelet deletes it with grace 0 when its containers
     * have ended. Other pods get it and are removed in the same request, which makes two revisions. Everything else is removed at once.
     */
    Result delete(Resource resource, String namespace, String name, Deletion options) {
        return answer(() -> {
            var id = new Id(namespace, name);
            var object = existing(resource, id);
            var uid = Json.text(object, "metadata", "uid");
            if (options.uid != null && !options.uid.equals(uid)) {
                throw Refused.precondition(resource, name, "UID", options.uid, uid,
                        "The object might have been deleted and then recreated");
            }
            var version = Json.text(object, "metadata", "resourceVersion");
            if (options.resourceVersion != null && !options.resourceVersion.equals(version)) {
                throw Refused.precondition(resource, name, "ResourceVersion", options.resourceVersion, version,
                        "The object might have been modified");
            }
            if (resource != Resource.PODS) {
                return new Ok(remove(resource, id));
            }
            if (!isToBeRemoved(object)) {
                var terminating = terminate(object, options.gracePeriodSeconds);
                object = terminating == object ? object : commit(resource, id, terminating);
            }
            return new Ok(isToBeRemoved(object) ? remove(resource, id) : object);
        });
    }

    private Result put(Resource resource, Id id, Map<String, ?> body, boolean status) {
        return answer(() -> {
            var proposed = decodeBody(resource, body);
            checkNamespace(id, proposed);
            checkName(id, proposed);
            var current = objects.get(resource).get(id);
            if (current == null && !resource.createOnUpdate) {
                throw Refused.notFound(resource, id.name);
            }
            var uid = Json.text(proposed, "metadata", "uid");
            var stored = current == null ? "" : Json.text(current, "metadata", "uid");
            if (uid != null && !uid.equals(stored)) {
                var key = "/registry/" + resource.plural + "/" + id.namespace + "/" + id.name;
                throw Refused.conflict(resource, id.name, "StorageError: invalid object, Code: 4, Key: " + key + ", ResourceVersion: 0, "
                        + "AdditionalErrorMsg: Precondition failed: UID in precondition: " + uid + ", UID in object meta: " + stored);
            }
            if (current == null) {
                check(resource, id, resource.validate(proposed));
                return new Created(insert(resource, id, proposed));
            }
            return new Ok(update(resource, id, current, proposed, status));
        });
    }

    private Result patch(Resource resource, Id id, Map<String, ?> patch, boolean status) {
        return answer(() -> {
            var current = existing(resource, id);
            var proposed = decodePatched(resource, Json.merge(current, patch));
            checkNamespace(id, proposed);
            checkName(id, proposed);
            return new Ok(update(resource, id, current, proposed, status));
        });
    }

    /** The common end of PUT and PATCH. The order of the checks decides which of two errors a client sees. */
    private Map<String, Object> update(Resource resource, Id id, Map<String, Object> current, Map<String, Object> proposed,
                                       boolean status) {
        long expected = version(proposed);
        if (expected == 0 && !resource.unconditionalUpdate) {
            throw Refused.unconditional(resource, id.name);
        }
        if (expected != 0 && expected != version(current)) {
            throw Refused.conflict(resource, id.name,
                    "the object has been modified; please apply your changes to the latest version and try again");
        }
        var next = new LinkedHashMap<>(proposed);
        next.put("metadata", keepMetadata(current, proposed, status ? STATUS_KEEPS : UPDATE_KEEPS));
        if (resource.hasStatus()) {
            next.compute(status ? "spec" : "status", (field, ignored) -> current.get(field));
        }
        check(resource, id, resource.validateUpdate(current, proposed, next));
        return next.equals(current) ? current : commit(resource, id, next);
    }

    /** A new object: the server's fields, then what the client may set. */
    private Map<String, Object> insert(Resource resource, Id id, Map<String, Object> body) {
        var metadata = new LinkedHashMap<String, Object>();
        metadata.put("name", id.name);
        if (resource != Resource.NAMESPACES) {
            metadata.put("namespace", id.namespace);
        }
        metadata.put("uid", uids.get());
        metadata.put("resourceVersion", "");
        if (resource == Resource.PODS) {
            metadata.put("generation", 1L);
        }
        metadata.put("creationTimestamp", timestamp(clock.get()));
        Json.object(body, "metadata").forEach((field, value) -> {
            if (!UPDATE_KEEPS.contains(field)) {
                metadata.put(field, value);
            }
        });
        var object = new LinkedHashMap<>(body);
        object.put("metadata", metadata);
        switch (resource) {
            case PODS -> object.put("status", Map.of("phase", "Pending"));
            case NAMESPACES -> object.put("status", Map.of("phase", "Active"));
            case LEASES, EVENTS -> { }
        }
        return commit(resource, id, object);
    }

    private Map<String, Object> commit(Resource resource, Id id, Map<String, Object> object) {
        var after = withVersion(object, resourceVersion + 1);
        record(resource, id, objects.get(resource).put(id, after), after);
        return after;
    }

    private Map<String, Object> remove(Resource resource, Id id) {
        var before = objects.get(resource).remove(id);
        record(resource, id, before, null);
        return withVersion(before, resourceVersion);
    }

    private void record(Resource resource, Id id, Map<String, Object> before, Map<String, Object> after) {
        resourceVersion++;
        var revision = new Revision(resourceVersion, resource, id.namespace, id.name, before, after);
        history[(int) (resourceVersion % history.length)] = revision;
        for (var listener : listeners) {
            listener.accept(revision);
        }
    }

    // ------------------------------------------------------------------------------------------------------------ rules

    /** Metadata that belongs to the server: a write keeps what is stored. */
    private static final List<String> UPDATE_KEEPS = List.of("namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
            "deletionTimestamp", "deletionGracePeriodSeconds");
    private static final List<String> STATUS_KEEPS = List.of("namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
            "deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences");

    private static Map<String, Object> keepMetadata(Map<String, Object> current, Map<String, Object> proposed, List<String> fields) {
        var stored = Json.object(current, "metadata");
        var metadata = new LinkedHashMap<>(Json.object(proposed, "metadata"));
        for (var field : fields) {
            metadata.compute(field, (name, value) -> stored.get(name));
        }
        return Collections.unmodifiableMap(metadata);
    }

    private static void check(Resource resource, Id id, List<Refused.Cause> causes) {
        if (!causes.isEmpty()) {
            throw Refused.invalid(resource, id.name, causes);
        }
    }

    private static void checkNamespace(Id id, Map<String, Object> object) {
        var namespace = Json.text(object, "metadata", "namespace");
        if (namespace != null && !namespace.equals(id.namespace)) {
            throw Refused.badRequest("the namespace of the provided object does not match the namespace sent on the request");
        }
    }

    private static void checkName(Id id, Map<String, Object> object) {
        var name = Json.text(object, "metadata", "name");
        if (name == null) {
            throw Refused.badRequest("the name of the object (" + id.name + " based on URL) was undeterminable: name must be provided");
        }
        if (!name.equals(id.name)) {
            throw Refused.badRequest("the name of the object (" + name + ") does not match the name on the URL (" + id.name + ")");
        }
    }

    /** Whether its grace is over. A backup of etcd can hold such a pod: it was made between the two revisions of a removal. */
    private static boolean isToBeRemoved(Map<String, Object> pod) {
        return Objects.equals(Json.at(pod, "metadata", "deletionGracePeriodSeconds"), 0L);
    }

    /** The pod with its end announced; the same pod if it is already to end as soon, because a second DELETE can only shorten the time. */
    private Map<String, Object> terminate(Map<String, Object> pod, Long seconds) {
        var metadata = new LinkedHashMap<>(Json.object(pod, "metadata"));
        var now = clock.get();
        Instant end;
        long grace;
        if (metadata.get("deletionGracePeriodSeconds") instanceof Long pending) {
            if (seconds == null || seconds >= pending) {
                return pod;
            }
            grace = seconds < 0 ? 1 : seconds;
            end = Instant.parse(Json.text(pod, "metadata", "deletionTimestamp")).minusSeconds(pending - grace);
            if (end.isBefore(now)) {
                end = now;
                grace = Math.min(grace, 1);
            }
        } else {
            grace = firstGrace(pod, seconds);
            end = now.plusSeconds(grace);
            metadata.computeIfPresent("generation", (field, generation) -> (Long) generation + 1);
        }
        metadata.put("deletionTimestamp", timestamp(end));
        metadata.put("deletionGracePeriodSeconds", grace);
        return Json.with(pod, "metadata", metadata);
    }

    /** Seconds that a pod may take to end: none if it never started on a node, or has ended. */
    private static long firstGrace(Map<String, Object> pod, Long seconds) {
        var phase = Json.text(pod, "status", "phase");
        if (Json.text(pod, "spec", "nodeName") == null || "Failed".equals(phase) || "Succeeded".equals(phase)) {
            return 0;
        }
        long grace = seconds != null ? seconds : (Long) Json.at(pod, "spec", "terminationGracePeriodSeconds");
        return grace < 0 ? 1 : grace;
    }

    private static Map<String, Object> withVersion(Map<String, Object> object, long version) {
        return Json.with(object, "metadata", Json.with(Json.object(object, "metadata"), "resourceVersion", Long.toString(version)));
    }

    /** The resourceVersion in an object or a body; 0 if there is none. */
    private static long version(Map<String, Object> object) {
        var version = Json.text(object, "metadata", "resourceVersion");
        try {
            return version == null ? 0 : Long.parseUnsignedLong(version);
        } catch (NumberFormatException e) {
            throw Refused.internal("strconv.ParseUint: parsing \"" + version + "\": invalid syntax");
        }
    }

    private static String timestamp(Instant time) {
        return time.truncatedTo(ChronoUnit.SECONDS).toString();
    }

    private static Map<String, Object> decodeBody(Resource resource, Map<String, ?> body) {
        try {
            return resource.decode(Json.merge(Map.of(), body));
        } catch (Resource.Malformed e) {
            throw Refused.badRequest(resource.kind + " in version \"v1\" cannot be handled as a " + resource.kind + ": " + e.getMessage());
        }
    }

    private static Map<String, Object> decodePatched(Resource resource, Map<String, Object> merged) {
        try {
            return resource.decode(merged);
        } catch (Resource.Malformed e) {
            throw Refused.unusablePatch(merged, e.getMessage());
        }
    }

    private Map<String, Object> existing(Resource resource, Id id) {
        var object = objects.get(resource).get(id);
        if (object == null) {
            throw Refused.notFound(resource, id.name);
        }
        return object;
    }

    private static Result answer(Supplier<Result> request) {
        try {
            return request.get();
        } catch (Refused e) {
            return e.failed();
        }
    }
}
