import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * One schedule of a group of real {@link Elector}s against a model of the API server, played in virtual time on one thread. Everything
 * that is random is drawn from the seed, so that a seed is a schedule: delays, losses, crashes, freezes, clocks, what others do ({@link
 * Mix}, {@link Flight}, {@link SimulatedWatch}, {@link Chaos}). Then follows a quiet period without faults. {@link Invariants} are checked
 * after every revision of the API server, and at the end.
 *
 * <p>The schedule of a {@link Script} has nothing random, and differs from the script's undisturbed course by its {@link Deviations} alone.
 */
final class Simulation {

    static final long MS = 1_000_000;
    static final long SECOND = 1_000 * MS;
    static final long MINUTE = 60 * SECOND;
    /** The first leader, which has been since 3 ms, then renews the Lease for the first time in a script's phase. */
    private static final long SET_UP = 1_000 * MS;
    /** What the script plans begins when that renewal was executed, and its answer and its events are on their way. */
    private static final long LEAD_IN = 3 * MS;
    /** The API server's time at the start. */
    static final Instant EPOCH = Instant.parse("2025-01-01T00:00:00Z");
    /** Faults that do not happen but are so. */
    private static final Set<Fault> CONDITIONS = EnumSet.of(Fault.CLOCK_RATES, Fault.SHARED_LABEL, Fault.MIXED_SETTINGS,
            Fault.LARGE_GROUP);

    private record Happening(long time, long order, Runnable action) implements Comparable<Happening> {
        @Override
        public int compareTo(Happening other) {
            return time != other.time ? Long.compare(time, other.time) : Long.compare(order, other.order);
        }
    }

    final Draw draw;
    final Mix mix;
    final Coverage coverage = new Coverage();
    final SimulatedServer server;
    final Workload workload;
    final Invariants invariants;
    final Chaos chaos;
    final OtherControllers others;
    final Deviations deviations;
    final Supplier<Tampering> tampering;
    private final List<String> log;
    private final PriorityQueue<Happening> happenings = new PriorityQueue<>(256);
    private final List<Runnable> underWay = new ArrayList<>();
    private long now;
    private long order;
    private long disturbedUntil;
    private long outUntil;
    private boolean quiet;
    private ClientGoProgram program;

    private Simulation(long seed, Draw draw, Mix mix, Deviations deviations, List<String> log, Supplier<Tampering> tampering) {
        this.draw = draw;
        this.mix = mix;
        this.deviations = deviations;
        this.log = log;
        this.tampering = tampering;
        server = new SimulatedServer(this, seed);
        workload = new Workload(this);
        invariants = new Invariants(this);
        others = new OtherControllers(this);
        chaos = new Chaos(this);
    }

    /**
     * Plays the schedule of a seed.
     *
     * @param only the faults that it has; empty for what the seed has in store
     * @param total gets what happened added, if nothing was violated; null if nobody wants to know
     * @param log gets the event log; null for none, which is faster
     * @return the violation that ended it, or null
     */
    static Violation play(long seed, Set<Fault> only, Coverage total, List<String> log) {
        return play(seed, only, false, total, log, () -> Tampering.NONE);
    }

    /** The same for a short schedule in which these faults come often, so that they meet. */
    static Violation playTogether(long seed, Set<Fault> faults, Coverage total, List<String> log) {
        return play(seed, faults, true, total, log, () -> Tampering.NONE);
    }

    private static Violation play(long seed, Set<Fault> only, boolean dense, Coverage total, List<String> log,
            Supplier<Tampering> tampering) {
        Draw draw = new Draw(seed);
        Simulation simulation = new Simulation(seed, draw, new Mix(draw, only, dense), new Deviations(List.of()), log, tampering);
        Violation violation = violation(simulation::play);
        if (violation == null && total != null) {
            simulation.coverage.endOfSchedule();
            total.add(simulation.coverage);
        }
        return violation;
    }

    private static Violation violation(Runnable schedule) {
        try {
            schedule.run();
            return null;
        } catch (Violation violation) {
            return violation;
        } catch (RuntimeException thrown) {
            return new Violation("no exceptions", thrown + " at " + Stream.of(thrown.getStackTrace()).limit(4).toList());
        }
    }

    /**
     * The same for a caller who knows nothing of these classes: faults by name, separated by spaces, or by plus signs for those that {@link
     * #playTogether play together}; returns null if all is well.
     */
    static String violated(long seed, String faults) {
        return violated(seed, faults, () -> Tampering.NONE);
    }

    /** The same with every process's elector tampered with. */
    static String violated(long seed, String faults, Supplier<Tampering> tampering) {
        Violation violation = play(seed, faults(faults), faults.contains("+"), null, null, tampering);
        return violation == null ? null : violation.toString();
    }

    /** Reads names of faults, separated by spaces or plus signs. */
    static Set<Fault> faults(String names) {
        Set<Fault> faults = EnumSet.noneOf(Fault.class);
        Stream.of(names.split("[ +]")).filter(name -> !name.isEmpty()).map(Fault::valueOf).forEach(faults::add);
        return faults;
    }

    /**
     * Plays a script with deviations, which afterwards know its messages.
     *
     * @param log gets the event log; null for none, which is faster
     * @return the violation that ended it, or null
     */
    static Violation play(Script script, Deviations deviations, List<String> log) {
        Draw draw = Draw.steady();
        Simulation simulation = new Simulation(0, draw, script.mix(draw, deviations), deviations, log, () -> Tampering.NONE);
        return violation(() -> simulation.play(script));
    }

    private void play() {
        log("seed", mix.toString());
        CONDITIONS.stream().filter(mix::isOn).forEach(coverage::count);
        workload.start();
        chaos.start();
        if (mix.isOn(Fault.CLIENT_GO)) {
            startClientGo();
        }
        playUntil(mix.length());
        if (mix.isOn(Fault.WIND_DOWN)) {
            coverage.count(Fault.WIND_DOWN);
            workload.windDown();
            playUntil(now + draw.spread(MS, 2 * mix.lease()));
        }
        becomeQuiet();
        settle(Math.max(2 * SECOND, mix.longestLease() / 3));
    }

    private void play(Script script) {
        log("script", script.toString());
        workload.start();
        if (script.setUp()) {
            playFor(SET_UP);
        }
        script.before().accept(this);
        if (script.setUp()) {
            invariants.settled(now);
        }
        deviations.inPhase(true);
        playFor(script.setUp() ? LEAD_IN : 0);
        script.during().accept(this);
        playFor(script.phase());
        deviations.inPhase(false);
        playFor(Script.TIMING[1] * MS / 2 + MS); // every call has timed out
        becomeQuiet();
        settle(6 * SECOND / 5);
    }

    /** The group may take its time to settle, but if it has settled, and stays so for so long, nobody need wait any longer. */
    private void settle(long still) {
        long quietSince = now;
        long end = now + timeToSettle();
        playUntil(now + (mix.isOn(Fault.LEASE_TOUCHED) ? mix.longestLease() * 3 / 2 + SECOND : SECOND / 2));
        while (now < end) {
            boolean somebodyCanLead = workload.processes().stream().anyMatch(SimulatedProcess::canLead);
            if (somebodyCanLead && holds(() -> invariants.settled(quietSince))) {
                playUntil(now + still);
                if (holds(() -> invariants.still(still))) {
                    return;
                }
            }
            playUntil(Math.max(now, Math.min(end, now + SECOND / 2)));
        }
        invariants.settled(quietSince);
        playUntil(now + still);
        invariants.still(still);
    }

    private static boolean holds(Runnable invariant) {
        try {
            invariant.run();
            return true;
        } catch (Violation notYet) {
            return false;
        }
    }

    /**
     * Long enough for every fault to be over. A pod that refuses patches may win the Lease in that time, and gives it back a lease-duration
     * later.
     */
    long timeToSettle() {
        int leases = 2;
        if (mix.isOn(Fault.PATCH_REFUSED)) { // and each process may offer the Lease in vain to a preferred leader that refuses patches
            leases += 1 + (mix.isOn(Fault.LEADER_PREFERRED) ? 2 * workload.processes().size() : 0);
        }
        if (mix.isOn(Fault.LEASE_WEBHOOK) && mix.isOn(Fault.LEADER_PREFERRED)) { // likewise, where a release is refused
            leases += 2 * workload.processes().size();
        }
        return leases * mix.longestLease() + 6 * SECOND;
    }

    /** Its identity is the name of a pod, even of one of the group, or anything else. */
    private void startClientGo() {
        program = new ClientGoProgram(this, draw.one(List.of("go-0", "host_6f1c", mix.stateful ? "web-0" : "web-a0")));
        at(draw.spread(MS, mix.dense ? mix.lease() / 2 : 3 * mix.lease()), program::start);
    }

    /** Plays so many nanoseconds more. */
    void playFor(long nanos) {
        playUntil(now + nanos);
    }

    private void playUntil(long end) {
        while (!happenings.isEmpty() && happenings.peek().time <= end) {
            Happening next = happenings.poll();
            now = next.time;
            next.action.run();
        }
        now = end;
    }

    /** No more faults: what is under way arrives, what is frozen or down goes on. */
    private void becomeQuiet() {
        log("chaos", "the quiet period begins");
        quiet = true;
        outUntil = 0;
        server.acceptPatches();
        others.calm();
        if (program != null) {
            program.end(draw.chance(0.5));
        }
        for (Runnable arrival : underWay) {
            at(now + draw.between(0, SECOND / 10), arrival);
        }
        workload.settle();
        chaos.goOn();
    }

    // --- Time --------------------------------------------------------------------------------------------------------

    /** Nanoseconds of true time since the start. */
    long now() {
        return now;
    }

    /** The API server's time, as a Lease records it. */
    String wallTime() {
        return SimulatedServer.micros(EPOCH.plusNanos(now));
    }

    /** How long everything takes on its way to the API server or back, before chance comes in: 25 ms where pods are busy. */
    long distance() {
        return mix.isOn(Fault.BUSY_POD) ? 25 * MS : 0;
    }

    /** Has something happen so many nanoseconds later. */
    void after(long nanos, Runnable action) {
        at(now + nanos, action);
    }

    /** Has something happen at that time. */
    void at(long time, Runnable action) {
        happenings.add(new Happening(Math.max(now, time), order++, action));
    }

    /** Something that arrives late, unless the quiet period hastens it; it does nothing the second time. */
    void underWay(Runnable arrival) {
        underWay.add(arrival);
    }

    // --- Faults ------------------------------------------------------------------------------------------------------

    /** Whether a request, or whatever else, is hit by this fault: by its drawn frequency, times {@code scale}. */
    boolean hit(Fault fault, double scale) {
        boolean hit = !quiet && mix.isOn(fault) && draw.chance(scale * mix.frequency(fault));
        if (hit) {
            coverage.count(fault);
        }
        return hit;
    }

    /** Notes that a fault is felt for that long; returns it. */
    long disturb(long nanos) {
        disturbedUntil = Math.max(disturbedUntil, now + nanos);
        return nanos;
    }

    /** The same until that time; returns it. */
    long disturbUntil(long time) {
        disturbedUntil = Math.max(disturbedUntil, time);
        return time;
    }

    /** Whether no fault has been felt since that time. */
    boolean isCalmSince(long time) {
        return disturbedUntil < time && !mix.isOn(Fault.CLIENT_GO)
                && workload.processes().stream().allMatch(SimulatedProcess::watchesAreLive);
    }

    void outage(long until) {
        outUntil = Math.max(outUntil, until);
    }

    /** Whether nobody reaches the API server. */
    boolean isOut() {
        return now < outUntil;
    }

    boolean isQuiet() {
        return quiet;
    }

    // --- The event log -----------------------------------------------------------------------------------------------

    boolean isLogging() {
        return log != null;
    }

    /** One line of the event log; callers that build a text ask {@link #isLogging} first. */
    void log(Object who, String what) {
        if (log != null) {
            log.add(String.format(Locale.ROOT, "%11.6f  %-10s %s", now / 1e9, who, what));
        }
    }

    /** An event, a request or a reply. */
    static String show(Object message) {
        return switch (message) {
            case Effect.Request request -> show(request);
            case Reply reply -> show(reply);
            default -> show((Event) message);
        };
    }

    static String show(Event event) {
        return switch (event) {
            case Event.LeaseUpdated seen -> "sees " + show(seen.lease());
            case Event.LeaseDeleted left -> "sees no Lease at v" + left.version();
            case Event.PodsListed seen -> "sees pods at v" + seen.version() + " " + show(seen.pods());
            case Event.PodUpdated seen -> "sees " + show(seen.pod());
            case Event.PodRemoved left -> "sees " + left.name() + " leave at v" + left.version();
            case Event.Replied replied -> "reply to " + show(replied.request()) + ": " + show(replied.reply());
            case Event.Stop stop -> "stop";
            case Event.Tick tick -> "tick";
        };
    }

    static String show(Effect.Request request) {
        return switch (request) {
            case Effect.GetLease get -> "GET lease";
            case Effect.CreateLease create -> "POST lease";
            case Effect.PutLease put -> "PUT " + show(put.lease());
            case Effect.ListPods list -> "LIST";
            case Effect.GetPod get -> "GET " + get.name();
            case Effect.PatchPod patch -> "PATCH " + patch.name() + " v" + patch.version() + " " + patch.leadership() + "/"
                    + patch.participation() + "/" + patch.epoch();
        };
    }

    static String show(Status status) {
        Statistics counts = status.statistics();
        return (status.leading() ? "leading until " + status.leadsUntil() : "not leading") + " epoch=" + status.epoch() + " leader="
                + status.leader() + " since=" + status.since() + " participants=" + status.participants() + " registered="
                + status.registered() + " transitions=" + counts.transitions() + " changed=" + counts.leaseChangedAt() + " renewed="
                + counts.renewedAt() + " handover=" + counts.handover() + " takeover=" + counts.takeover() + " patches="
                + new TreeMap<>(counts.patches()) + " healed=" + counts.healed();
    }

    static String show(Reply reply) {
        return switch (reply) {
            case Reply.LeaseReply is -> (is.created() ? "201 " : "200 ") + show(is.lease());
            case Reply.PodReply is -> "200 " + show(is.pod());
            case Reply.PodListReply are -> "200 v" + are.version() + " " + show(are.pods());
            case Reply.NotFound missing -> "404";
            case Reply.Conflict conflict -> "409";
            case Reply.Failed failed -> "failed (" + failed.why() + ")";
            case Reply.NotSent notSent -> "not sent";
        };
    }

    private static String show(Lease lease) {
        return "lease v" + lease.version() + "[" + (lease.isHeld() ? lease.holder() : "free") + " " + lease.durationSeconds() + "s"
                + (lease.claim() == null ? "" : " " + lease.claim().uid().substring(0, 4) + "@" + lease.acquireTime()) + "]";
    }

    private static String show(Pod pod) {
        return pod.name() + ":" + pod.uid().substring(0, 4) + " v" + pod.version() + "["
                + pod.leadership() + "/" + pod.participation() + "/"
                + pod.epoch() + (pod.ready() ? " ready" : "") + (pod.terminating() ? " terminating" : "")
                + (pod.finished() ? " finished" : "") + "]";
    }

    private static List<String> show(List<Pod> pods) {
        return pods.stream().map(Simulation::show).toList();
    }
}
