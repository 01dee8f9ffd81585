import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Random;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;

/**
 * One {@link Elector} between a clock that stands still until it is told to go and an API server, which answers within 3 ms except for
 * what the test holds back or answers itself. The elector watches: what anybody changes is an event for it. Everything that it does is
 * kept, turn by turn.
 */
final class ElectorBench {

    static final String SELF = "web-0";
    private static final String NAMESPACE = "default";
    private static final Instant EPOCH = Instant.parse("2030-01-01T00:00:00Z");
    private static final long START = Duration.ofSeconds(1000).toNanos();
    private static final long ANSWER_TIME = Duration.ofMillis(3).toNanos();

    /** What one event led to, in order. */
    record Turn(Event event, long now, List<Effect> effects) {

        /** The state that was made known in this turn; null if it did not change. */
        Status published() {
            return effects.stream().filter(Effect.Publish.class::isInstance).map(effect -> ((Effect.Publish) effect).status())
                    .findFirst().orElse(null);
        }

        int indexOf(Predicate<Effect> which) {
            return effects.stream().filter(which).findFirst().map(effects::indexOf).orElse(-1);
        }
    }

    private final Config config;
    private final Elector elector;
    private final StoreCodec codec;
    private final StoreClient client;
    private final Store store = new Store(this::wall, Store.seededUids(1), 1);
    private final List<Turn> turns = new ArrayList<>();
    private final Queue<Effect.Request> open = new ArrayDeque<>();
    private final Queue<Event> unseen = new ArrayDeque<>();
    private Predicate<Effect.Request> held = request -> false;
    private Function<Effect.Request, Reply> answers = request -> null;
    private UnaryOperator<Map<String, Object>> webhook = body -> body;
    private boolean watching;
    private long now = START;
    private int mark;

    /** An elector of the pod {@link #SELF}, which exists, runs, is Ready and has no key; the elector knows nothing yet. */
    ElectorBench(Config config) {
        this.config = config;
        elector = new Elector(config, new Random(1), now);
        codec = new StoreCodec(config);
        client = new StoreClient(store, config, codec::pod,
                (request, body) -> request instanceof Effect.PutLease ? webhook.apply(body) : body);
        store.onRevision(this::revised);
        createPod(SELF);
    }

    /** The same with client-go's timing. */
    ElectorBench() {
        this(TestConfig.config().build());
    }

    private void revised(Store.Revision revision) {
        String version = Long.toString(revision.resourceVersion());
        if (revision.resource() == Resource.LEASES) {
            unseen.add(revision.after() == null ? new Event.LeaseDeleted(version) : new Event.LeaseUpdated(lease()));
        } else if (revision.resource() == Resource.PODS) {
            revision.seenBy(client.group()).ifPresent(seen -> unseen.add(seen.type() == Store.EventType.DELETED
                    ? new Event.PodRemoved(revision.name(), version) : new Event.PodUpdated(codec.pod(revision.after()))));
        }
    }

    // --- Pods --------------------------------------------------------------------------------------------------------

    /** Creates a running, Ready pod without any of our keys, a second after the one before. */
    void createPod(String name) {
        pass(Duration.ofSeconds(1));
        store.create(Resource.PODS, NAMESPACE, Map.of("metadata", Map.of("name", name), "spec", Map.of("nodeName", "node")));
        setStatus(name, "Running", true);
    }

    /** The same with the keys of a participant that has just been registered. */
    void createParticipant(String name) {
        createPod(name);
        edit(name, "false", "true", "0");
    }

    Pod pod(String name) {
        return store.get(Resource.PODS, NAMESPACE, name) instanceof Store.Ok ok ? codec.pod(ok.object()) : null;
    }

    /** The values of a pod's three keys: {@code leadership participation epoch}. */
    String keys(String name) {
        return pod(name).leadership() + " " + pod(name).participation() + " " + pod(name).epoch();
    }

    /** Somebody sets a pod's keys, null for none. */
    Turn edit(String name, String leadership, String participation, String epoch) {
        Map<String, String> labels = new HashMap<>();
        labels.put(config.leadershipLabel(), leadership);
        labels.put(config.participationLabel(), participation);
        Map<String, String> annotations = new HashMap<>();
        annotations.put(config.epochAnnotation(), epoch);
        store.patch(Resource.PODS, NAMESPACE, name, Map.of("metadata", Map.of("labels", labels, "annotations", annotations)));
        return watch();
    }

    /** Somebody annotates a pod. */
    Turn annotate(String name, Map<String, String> annotations) {
        store.patch(Resource.PODS, NAMESPACE, name, Map.of("metadata", Map.of("annotations", annotations)));
        return watch();
    }

    /** The pod's deletion cost; null if it has none. */
    String deletionCost(String name) {
        return pod(name).deletionCost();
    }

    /** Somebody labels a pod. */
    Turn label(String name, String key, String value) {
        store.patch(Resource.PODS, NAMESPACE, name, Map.of("metadata", Map.of("labels", Map.of(key, value))));
        return watch();
    }

    Turn setReady(String name, boolean ready) {
        return setStatus(name, "Running", ready);
    }

    /** All containers of the pod have ended for good. */
    Turn finish(String name) {
        return setStatus(name, "Failed", false);
    }

    private Turn setStatus(String name, String phase, boolean ready) {
        Map<String, Object> condition = Map.of("type", "Ready", "status", ready ? "True" : "False");
        store.patchStatus(Resource.PODS, NAMESPACE, name, Map.of("status", Map.of("phase", phase, "conditions", List.of(condition))));
        return watch();
    }

    /** The pod gets its deletionTimestamp. */
    Turn beginDeletion(String name) {
        store.delete(Resource.PODS, NAMESPACE, name, new Store.Deletion(30L, null, null));
        return watch();
    }

    /** The pod is gone at once. */
    Turn remove(String name) {
        store.delete(Resource.PODS, NAMESPACE, name, Store.Deletion.NOW);
        return watch();
    }

    // --- The Lease ---------------------------------------------------------------------------------------------------

    /** The stored Lease; null if there is none. */
    Lease lease() {
        return store.get(Resource.LEASES, NAMESPACE, config.leaseName()) instanceof Store.Ok ok ? codec.lease(ok.object()) : null;
    }

    /** The sidecar of a pod, which may be gone, acquires or renews the Lease. */
    Turn takeLease(String holder) {
        Instant time = wall();
        Instant acquired = lease() != null && lease().holder().equals(holder) ? lease().acquireTime() : time;
        String uid = pod(holder) == null ? "uid-of-" + holder : pod(holder).uid();
        return writeLease(new Claim(holder, uid, acquired, time), holder, 15);
    }

    /** Somebody writes an older state of the Lease back, which had this claim. */
    Turn writeBack(Claim older) {
        return writeLease(older, older.pod(), 15);
    }

    /** A program acquires or renews the Lease that does not know our annotation, for that many seconds. */
    Turn takeLeaseAsClientGo(String holder, int seconds) {
        return writeLease(null, holder, seconds);
    }

    /** The same with that number of changes of the holder. */
    Turn takeLeaseAsClientGo(String holder, int seconds, int transitions) {
        takeLeaseAsClientGo(holder, seconds);
        return patchLease(Map.of("spec", Map.of("leaseTransitions", (long) transitions)));
    }

    /** Somebody annotates the Lease. */
    Turn touchLease(String key, String value) {
        return patchLease(Map.of("metadata", Map.of("annotations", Map.of(key, value))));
    }

    private Turn patchLease(Map<String, Object> patch) {
        store.patch(Resource.LEASES, NAMESPACE, config.leaseName(), patch);
        return watch();
    }

    /** The holder, whoever it is, releases the Lease. */
    Turn releaseLease() {
        return writeLease(null, "", 1);
    }

    private Turn writeLease(Claim claim, String holder, int seconds) {
        Lease old = lease();
        Instant time = claim == null ? wall() : claim.renewTime();
        Instant acquired = claim == null ? time : claim.acquireTime();
        Map<String, Object> body = codec.putBody(new Lease(old == null ? null : old.version(), old == null ? null : old.uid(), holder,
                seconds, acquired, time, 7, claim, "", old == null ? null : old.origin()));
        if (old == null) {
            store.create(Resource.LEASES, NAMESPACE, body);
        } else {
            store.replace(Resource.LEASES, NAMESPACE, config.leaseName(), body);
        }
        return watch();
    }

    Turn deleteLease() {
        store.delete(Resource.LEASES, NAMESPACE, config.leaseName(), Store.Deletion.DEFAULT);
        return watch();
    }

    // --- The API server ----------------------------------------------------------------------------------------------

    /** Requests like these get no answer from now on; what the call before held is answered by {@link #run}. */
    void hold(Predicate<Effect.Request> which) {
        held = which;
    }

    /** From now on requests are answered by this and not executed, unless it says null. */
    void answer(Function<Effect.Request, Reply> answers) {
        this.answers = answers;
    }

    /** Executes a request whose answer is not delivered. */
    void execute(Effect.Request request) {
        client.execute(request);
    }

    /** The oldest request of this kind that was not answered yet. */
    <R extends Effect.Request> R open(Class<R> kind) {
        return open.stream().filter(kind::isInstance).map(kind::cast).findFirst().orElseThrow();
    }

    /** From now on an admission webhook changes what is written to the Lease: the spec, and the annotations of its metadata. */
    void rewriteLeases(BiConsumer<Map<String, Object>, Map<String, Object>> change) {
        webhook = body -> Admission.changed(body, change);
    }

    /** What the API server stores. */
    Store.Backup backUp() {
        return store.backup();
    }

    /** The API server stores again what it stored then, and its versions go back; the watches are broken until they begin again. */
    void restore(Store.Backup backup) {
        watching = false;
        store.restore(backup);
    }

    /** From now on the watches deliver nothing, and nobody is told. */
    void silenceWatches() {
        watching = false;
    }

    /** The watches begin anew: with all that there is. */
    void openWatches() {
        unseen.clear();
        watching = true;
        Reply.PodListReply all = client.list();
        turn(lease() == null ? new Event.LeaseDeleted(all.version()) : new Event.LeaseUpdated(lease()));
        turn(new Event.PodsListed(all.pods(), all.version()));
    }

    /** Delivers what the watches show; returns what the elector did about the first of it, null if there was nothing. */
    private Turn watch() {
        Turn first = null;
        while (!unseen.isEmpty()) {
            Event event = unseen.poll();
            Turn turn = watching ? turn(event) : null;
            first = first == null ? turn : first;
        }
        return first;
    }

    /** Answers what is not held until that time, or until there is nothing more. */
    private void answerUntil(long end) {
        Effect.Request next = nextToAnswer();
        while (next != null && now + ANSWER_TIME <= end) {
            open.remove(next);
            now += ANSWER_TIME;
            Reply own = answers.apply(next);
            turn(new Event.Replied(next, own != null ? own : client.execute(next)));
            watch();
            next = nextToAnswer();
        }
    }

    private Effect.Request nextToAnswer() {
        return open.stream().filter(request -> !held.test(request)).findFirst().orElse(null);
    }

    // --- Time --------------------------------------------------------------------------------------------------------

    long now() {
        return now;
    }

    Instant wall() {
        return EPOCH.plusNanos(now);
    }

    /** Lets time pass, without waking the elector: what a thread that is starved or frozen lives through. */
    void pass(Duration time) {
        now += time.toNanos();
    }

    /** Lets time pass, wakes the elector whenever it wants that, and answers all requests that are not held. */
    void run(Duration time) {
        long end = now + time.toNanos();
        answerUntil(end);
        while (elector.wakeAt() <= end) {
            now = Math.max(now, elector.wakeAt());
            turn(new Event.Tick());
            answerUntil(end);
        }
        now = Math.max(now, end);
    }

    /** The same for that many milliseconds. */
    void run(long millis) {
        run(Duration.ofMillis(millis));
    }

    /** The first contact: watches begin, and what follows from it within five seconds. */
    void start() {
        turn(new Event.Tick());
        openWatches();
        run(5000);
    }

    /** {@link #SELF} becomes the leader of a group with web-1, in which nothing is left to do; a {@link #mark} follows. */
    void lead() {
        createParticipant("web-1");
        start();
        assertTrue(status().leading(), "the test begins with a leader");
        mark();
    }

    /** {@link #SELF} follows web-1, whose sidecar lives and has just renewed; a {@link #mark} follows. */
    void follow() {
        createParticipant("web-1");
        takeLease("web-1");
        start();
        takeLease("web-1");
        assertEquals("web-1", status().leader(), "the test begins with a follower");
        mark();
    }

    /** One event, and what the elector does about it; its requests stay open. */
    Turn turn(Event event) {
        Turn turn = new Turn(event, now, elector.on(event, now, wall()));
        turns.add(turn);
        turn.effects().stream().filter(Effect.Request.class::isInstance).forEach(effect -> open.add((Effect.Request) effect));
        return turn;
    }

    // --- What was seen -----------------------------------------------------------------------------------------------

    /** All that happened so far. */
    List<Turn> turns() {
        return turns;
    }

    /** The state that was made known last. */
    Status status() {
        return turns.stream().map(Turn::published).filter(status -> status != null).reduce((first, second) -> second).orElseThrow();
    }

    /** What {@link #asked} and {@link #effects} tell of begins now. */
    void mark() {
        mark = turns.size();
    }

    /** The effects of a kind since the {@link #mark}. */
    <E extends Effect> List<E> effects(Class<E> kind) {
        return turns.stream().skip(mark).flatMap(turn -> turn.effects().stream()).filter(kind::isInstance).map(kind::cast).toList();
    }

    /** Short forms of the requests since the {@link #mark}, such as {@code PUT web-0} for a Lease that web-0 holds. */
    List<String> asked() {
        return effects(Effect.Request.class).stream().map(ElectorBench::shortForm).toList();
    }

    /** When a request of this short form was first sent since the {@link #mark}; AssertionError if it was not. */
    long askedAt(String request) {
        return turns.stream().skip(mark).filter(turn -> turn.effects().stream()
                .anyMatch(effect -> effect instanceof Effect.Request asked && shortForm(asked).equals(request)))
                .map(Turn::now).findFirst().orElseThrow(() -> new AssertionError("not sent: " + request + ", but " + asked()));
    }

    static boolean isPatch(Effect.Request request, String pod) {
        return request instanceof Effect.PatchPod patch && patch.name().equals(pod);
    }

    private static String shortForm(Effect.Request request) {
        return switch (request) {
            case Effect.GetLease get -> "GET lease";
            case Effect.CreateLease create -> "POST lease";
            case Effect.PutLease put -> put.lease().isHeld() ? "PUT " + put.lease().holder() : "PUT nobody";
            case Effect.ListPods list -> "LIST";
            case Effect.GetPod get -> "GET " + get.name();
            case Effect.PatchPod patch -> "PATCH " + patch.name() + " " + patch.leadership();
        };
    }

    /** The exit code; null while the elector has not ended. */
    Integer exitCode() {
        return turns.stream().flatMap(turn -> turn.effects().stream()).filter(Effect.Exit.class::isInstance)
                .map(effect -> ((Effect.Exit) effect).code()).findFirst().orElse(null);
    }
}
