import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * One {@link Elector} between a clock that stands still until it is told to go and an API server of a few lines, which answers at once,
 * except for what the test holds back. Everything that the elector does is kept, turn by turn.
 */
final class ElectorBench {

    static final String SELF = "web-0";
    private static final Instant EPOCH = Instant.parse("2030-01-01T00:00:00Z");
    private static final long START = Duration.ofSeconds(1000).toNanos();

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

    private final Elector elector;
    private final List<Turn> turns = new ArrayList<>();
    private final Queue<Effect.Request> open = new ArrayDeque<>();
    private final Map<String, Pod> pods = new TreeMap<>();
    private Predicate<Effect.Request> held = request -> false;
    private Lease lease;
    private long now = START;
    private long version = 100;

    /** An elector of the pod {@link #SELF} that knows nothing yet. */
    ElectorBench(Config config) {
        elector = new Elector(config, new Random(1), now);
    }

    /** The settings of all tests here: those of client-go. */
    static Config config(Handover handover) {
        return new Config("web", SELF, "default", "web/is-leader", "web/participant", "web", Duration.ofSeconds(15), Duration.ofSeconds(10),
                Duration.ofSeconds(2), handover, Duration.ofSeconds(15), 100, null);
    }

    // --- The world ---------------------------------------------------------------------------------------------------

    /** Creates a running, Ready pod without any of our keys. */
    void createPod(String name) {
        put(new Pod(name, "uid-of-" + name, null, null, null, null, true, false, false, EPOCH));
    }

    private Pod put(Pod pod) {
        Pod stored = new Pod(pod.name(), pod.uid(), Long.toString(++version), pod.leadership(), pod.participation(), pod.epoch(),
                pod.ready(), pod.terminating(), pod.finished(), pod.created());
        pods.put(pod.name(), stored);
        return stored;
    }

    Pod pod(String name) {
        return pods.get(name);
    }

    Lease lease() {
        return lease;
    }

    /** Somebody else sets a pod's keys, null for none, and the elector's watch shows it. */
    Turn edit(String name, String leadership, String participation, String epoch) {
        Pod pod = pod(name);
        return turn(new Event.PodUpdated(put(new Pod(name, pod.uid(), null, leadership, participation, epoch, pod.ready(),
                pod.terminating(),
                false, pod.created()))));
    }

    /** The own pod gets its deletionTimestamp, and the watch shows it. */
    Turn beginDeletion() {
        Pod pod = pod(SELF);
        return turn(new Event.PodUpdated(put(new Pod(SELF, pod.uid(), null, pod.leadership(), pod.participation(), pod.epoch(), pod.ready(),
                true, false, pod.created()))));
    }

    /** Somebody else takes the Lease, and the watch shows it. */
    Turn takeLease(String holder) {
        Claim claim = new Claim(holder, "uid-of-" + holder, wall(), wall());
        lease = new Lease(Long.toString(++version), "uid-of-lease", holder, 15, wall(), wall(), 7, claim, null);
        return turn(new Event.LeaseUpdated(lease));
    }

    /** Requests like these get no answer from now on. */
    void hold(Predicate<Effect.Request> which) {
        held = which;
    }

    // --- Time --------------------------------------------------------------------------------------------------------

    long now() {
        return now;
    }

    private Instant wall() {
        return EPOCH.plusNanos(now);
    }

    /** Lets time pass, without waking the elector: what a thread that is starved or frozen lives through. */
    void pass(Duration time) {
        now += time.toNanos();
    }

    /** Lets time pass, wakes the elector whenever it wants that, and answers all requests that are not held. */
    void run(Duration time) {
        long end = now + time.toNanos();
        answerAll();
        while (elector.wakeAt() <= end) {
            now = Math.max(now, elector.wakeAt());
            turn(new Event.Tick());
            answerAll();
        }
        now = end;
    }

    /** The first contact: watches begin, and everything that follows from it. */
    void start() {
        turn(new Event.Tick());
        turn(lease == null ? new Event.LeaseDeleted(Long.toString(version)) : new Event.LeaseUpdated(lease));
        turn(new Event.PodsListed(List.of(), Long.toString(version)));
        run(Duration.ofSeconds(5));
    }

    /** One event, and what the elector does about it; its requests stay open. */
    Turn turn(Event event) {
        Turn turn = new Turn(event, now, elector.on(event, now, wall()));
        turns.add(turn);
        turn.effects().stream().filter(Effect.Request.class::isInstance).forEach(effect -> open.add((Effect.Request) effect));
        return turn;
    }

    private void answerAll() {
        while (open.stream().anyMatch(request -> !held.test(request))) {
            Effect.Request next = open.stream().filter(request -> !held.test(request)).findFirst().orElseThrow();
            open.remove(next);
            now += Duration.ofMillis(3).toNanos();
            turn(new Event.Replied(next, answer(next)));
        }
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

    // --- The API server ----------------------------------------------------------------------------------------------

    private Reply answer(Effect.Request request) {
        return switch (request) {
            case Effect.GetLease get -> lease == null ? new Reply.NotFound() : new Reply.LeaseReply(lease, false);
            case Effect.CreateLease create -> {
                lease = new Lease(Long.toString(++version), "uid-of-lease", "", 1, null, null, 0, null, null);
                yield new Reply.LeaseReply(lease, true);
            }
            case Effect.PutLease put -> {
                if (lease == null || !lease.version().equals(put.lease().version())) {
                    yield new Reply.Conflict();
                }
                Lease next = put.lease();
                lease = new Lease(Long.toString(++version), next.uid(), next.holder(), next.durationSeconds(), next.acquireTime(),
                        next.renewTime(), next.transitions(), next.claim(), null);
                yield new Reply.LeaseReply(lease, false);
            }
            case Effect.ListPods list -> new Reply.PodListReply(pods.values().stream().filter(pod -> pod.leadership() != null).toList(),
                    Long.toString(version));
            case Effect.GetPod get -> pods.containsKey(get.name()) ? new Reply.PodReply(pod(get.name())) : new Reply.NotFound();
            case Effect.PatchPod patch -> patched(patch);
        };
    }

    private Reply patched(Effect.PatchPod patch) {
        Pod pod = pod(patch.name());
        if (pod == null || !pod.version().equals(patch.version())) {
            return pod == null ? new Reply.NotFound() : new Reply.Conflict();
        }
        return new Reply.PodReply(put(new Pod(pod.name(), pod.uid(), null, either(patch.leadership(), pod.leadership()),
                either(patch.participation(), pod.participation()), either(patch.epoch(), pod.epoch()), pod.ready(), pod.terminating(),
                pod.finished(), pod.created())));
    }

    private static String either(String wanted, String present) {
        return wanted != null ? wanted : present;
    }
}
