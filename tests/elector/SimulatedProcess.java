import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Queue;
import java.util.Set;

/** One sidecar process of a {@link Simulation}: a real {@link Elector} with clocks, a queue of events, workers and watches. */
final class SimulatedProcess {

    private static final int RATE_ONE = 1024;
    /** So many ticks without a nanosecond of progress are a loop. */
    private static final int LOOP = 200;

    private final Simulation world;
    private final SimulatedPod pod;
    private final Config config;
    private final Elector elector;
    private final Tampering tampering;
    private final String name;
    private final long startedAt;
    private final long clockBase;
    private final long rate;
    private long wallOffset;
    private final SimulatedWatch leaseWatch;
    private final SimulatedWatch groupWatch;

    private boolean alive = true;
    private boolean frozen;
    private boolean told;
    private boolean cutOff;
    private String ended;
    /** How often etcd had been restored when it started, or when it noticed the latest restoration. */
    private int knownHistory;
    /** Whether it has said that its writes are rewritten. */
    private boolean saidRewritten;
    /** Whether it has said that what it writes to the Lease is rewritten. */
    private boolean saidLeaseRewritten;
    /** When it first learned anything of the Lease, in true time; MAX_VALUE before. */
    private long firstSawLease = Long.MAX_VALUE;
    /** Epochs as which it has led: wins that it knows of. */
    private final Set<String> knownWins = new HashSet<>();
    /** When it began to release because it was not labelled, on its own clock; MIN_VALUE if it never has. */
    private long gaveBackAt = Long.MIN_VALUE;
    private List<String> participants = List.of();
    private final Queue<Event> inbox = new ArrayDeque<>();
    private final Deviations.Steps steps = new Deviations.Steps();
    private final List<Runnable> whenThawed = new ArrayList<>();
    private long tickAt = Long.MAX_VALUE;
    private long lastTick = -1;
    private int ticksInPlace;
    private int requests;
    private Effect.Request asked;
    private Effect.Request askedBeforeTrue;
    private Effect.Request patched;
    private Effect.Request patchedBeforeTrue;
    private final Set<String> wins = new HashSet<>();
    private final Set<Instant> attempts = new HashSet<>();
    private Instant renewedAs;

    SimulatedProcess(Simulation world, SimulatedPod pod, Config config, int number) {
        this.world = world;
        this.knownHistory = world.server.history();
        this.pod = pod;
        this.config = config;
        this.name = pod.name() + "/" + pod.uid().substring(0, 2) + "#" + number;
        this.startedAt = world.now();
        this.clockBase = world.draw.between(0L, 100 * Simulation.SECOND);
        this.rate = world.mix.isOn(Fault.CLOCK_RATES) ? world.draw.between(RATE_ONE * 83 / 100, RATE_ONE * 120 / 100) : RATE_ONE;
        this.elector = new Elector(config, world.draw.split(), clock());
        this.tampering = world.tampering.get();
        setWallClock();
        boolean polling = world.hit(Fault.NO_WATCH, 1);
        leaseWatch = new SimulatedWatch(world, this, true, polling);
        groupWatch = new SimulatedWatch(world, this, false, polling);
    }

    /** Begins to run: the first event is a tick, as in the real shell. */
    void start() {
        world.log(name, "starts");
        world.invariants.started(this);
        leaseWatch.open();
        groupWatch.open();
        handle(new Event.Tick());
    }

    // --- What others see ---------------------------------------------------------------------------------------------

    SimulatedPod pod() {
        return pod;
    }

    Config config() {
        return config;
    }

    boolean isLeading() {
        return elector.role() instanceof Role.Leading;
    }

    /** Whether its lead ends. */
    boolean isOffering() {
        return elector.role() instanceof Role.Releasing releasing && releasing.reason == Role.Reason.PREFERRED;
    }

    /** Whether it leaves, because of SIGTERM or since its pod was deleted. */
    boolean isStopping() {
        return elector.role() instanceof Role.Releasing releasing && releasing.reason == Role.Reason.STOPPING;
    }

    boolean isReleasing() {
        return elector.role() instanceof Role.Releasing;
    }

    boolean isAlive() {
        return alive;
    }

    /** Whether it got SIGTERM. */
    boolean isTold() {
        return told;
    }

    boolean isCutOff() {
        return cutOff || world.isOut();
    }

    long startedAt() {
        return startedAt;
    }

    /** Why it ended by itself; null if it did not. */
    String ended() {
        return ended;
    }

    /** Versions of the Lease by which this process won it: its epochs. */
    Set<String> wins() {
        return wins;
    }

    void noteWin(String version) {
        wins.add(version);
    }

    /** Whether it can lead: it runs, was not told to go, and its pod is there and alive. */
    boolean isCandidate() {
        StoredPod stored = world.server.pod(pod.name());
        return alive && !told && stored != null && stored.uid().equals(pod.uid()) && stored.isAlive();
    }

    /** Whether it may come to lead: its writes to the Lease and to its pod are not refused. */
    boolean canLead() {
        return isCandidate() && !world.server.admission().refusesLeasesOf(pod) && !world.server.refusesPatches(pod.name());
    }

    /** Whether it has led as that epoch, which may be null: it knows of that win. */
    boolean knowsWin(String epoch) {
        return knownWins.contains(epoch);
    }

    /** Whether it has tried to acquire the Lease at that time, to the microsecond. */
    boolean hasTriedAt(Instant acquireTime) {
        return attempts.contains(acquireTime);
    }

    /** What the latest PUT of the Lease that it knows to have succeeded wrote as the time; null if there was none. */
    Instant renewedAs() {
        return renewedAs;
    }

    long firstSawLease() {
        return firstSawLease;
    }

    /** Nanoseconds on the own clock since it released the Lease because it could not be labelled; negative if it never has. */
    long sinceGivingBack() {
        return gaveBackAt == Long.MIN_VALUE ? -1 : clock() - gaveBackAt;
    }

    /** How often etcd had been restored, as far as it knows. */
    int knownHistory() {
        return knownHistory;
    }

    /** Names of the participants that it published. */
    List<String> participants() {
        return participants;
    }

    /** Number of requests that it wanted to send so far. */
    int requests() {
        return requests;
    }

    /** One of its patches has changed a pod. */
    void notePatched(Effect.Request request) {
        if (request instanceof Effect.PatchPod patch && "true".equals(patch.leadership())) {
            patchedBeforeTrue = patched;
        }
        patched = request;
    }

    /** The patch that changed a pod before the latest that labelled the own pod; null if there was none. */
    Effect.Request patchedBeforeTrue() {
        return patchedBeforeTrue;
    }

    /** The request before the latest that would label the own pod; null if there was none. */
    Effect.Request askedBeforeTrue() {
        return askedBeforeTrue;
    }

    /** Counts the events that it handles. */
    Deviations.Steps steps() {
        return steps;
    }

    boolean watchesAreLive() {
        return leaseWatch.isLive() && groupWatch.isLive();
    }

    /** Whether it cannot watch. */
    boolean isPolling() {
        return leaseWatch.isPolling();
    }

    /** The given time on the own monotonic clock, from a span of true time. */
    long measured(long nanos) {
        return nanos * rate / RATE_ONE;
    }

    @Override
    public String toString() {
        return name;
    }

    // --- Clocks ------------------------------------------------------------------------------------------------------

    private long clock() {
        return clockBase + measured(world.now() - startedAt);
    }

    /** The true time at which the own clock shows this, or just after. */
    private long whenClockShows(long time) {
        return startedAt + Math.ceilDiv((time - clockBase) * RATE_ONE, rate);
    }

    private long trueSpan(Duration measured) {
        return measured.toNanos() * RATE_ONE / rate;
    }

    Instant wall() {
        return Simulation.EPOCH.plusNanos(world.now() + wallOffset);
    }

    /** Wrong by up to a day, if wall clocks are wrong at all. */
    void setWallClock() {
        long day = Duration.ofDays(1).toNanos();
        wallOffset = world.mix.isOn(Fault.WALL_CLOCKS) ? world.draw.between(-day, day) : 0;
    }

    // --- Events ------------------------------------------------------------------------------------------------------

    /** Puts an event into the queue; a running process takes it at once. */
    void deliver(Event event) {
        if (!alive) {
            return;
        }
        if (frozen) {
            inbox.add(event);
        } else {
            handle(event);
        }
    }

    private void handle(Event event) {
        world.coverage.step();
        if (world.isLogging() && !(event instanceof Event.Tick)) {
            world.log(name, "< " + Simulation.show(event));
        }
        noteLease(event);
        Role previous = elector.role();
        String before = previous.getClass().getSimpleName();
        long history = elector.historySince();
        List<Effect> effects = elector.on(tampering.learned(event), clock(), wall());
        knownHistory = elector.historySince() == history ? knownHistory : world.server.history();
        String after = elector.role().getClass().getSimpleName();
        if (!after.equals(before) && !(elector.role() instanceof Role.Ended)) {
            world.log(name, before + " -> " + after);
        }
        noteRole(previous);
        guardAgainstLoops(event);
        for (Effect effect : effects) {
            Effect done = tampering.done(effect);
            if (done != null) {
                perform(done);
            }
        }
        if (event instanceof Event.Replied(Effect.PatchPod patch, Reply.PodReply made)) {
            saysWhatHasNoEffect(patch, made.pod());
        } else if (event instanceof Event.Replied(Effect.PutLease put, Reply.LeaseReply made) && !made.created()) {
            saysWhatIsRewritten(put.sequence(), put.lease(), made.lease());
        }
        wakeLater();
        steps.step(world);
    }

    /** A write of the label that was answered by 200 and has no effect is told to the person on call, unless etcd was restored meanwhile. */
    private void saysWhatHasNoEffect(Effect.PatchPod patch, Pod made) {
        boolean hasEffect = patch.leadership() == null || patch.leadership().equals(made.leadership());
        boolean isOutdated = patch.sequence() < elector.historySince();
        Invariants.require(hasEffect || isOutdated || saidRewritten || !alive, "said",
                () -> name + " does not say that " + Simulation.show(patch) + " has no effect");
    }

    /** The same for what a holder writes to the Lease, other than the number of transitions. */
    private void saysWhatIsRewritten(long sequence, Lease put, Lease made) {
        boolean isKept = !put.isHeld() || Objects.equals(put.annotation(), made.annotation())
                && Objects.equals(put.acquireTime(), made.acquireTime()) && Objects.equals(put.renewTime(), made.renewTime())
                && Objects.equals(put.durationSeconds(), made.durationSeconds());
        Invariants.require(isKept || sequence < elector.historySince() || saidLeaseRewritten || saidRewritten || !alive, "said",
                () -> name + " does not say that its Lease was stored as " + made);
    }

    private void noteLease(Event event) {
        if (event instanceof Event.LeaseUpdated || event instanceof Event.LeaseDeleted
                || event instanceof Event.Replied(Effect.GetLease get, Reply reply)
                && (reply instanceof Reply.LeaseReply || reply instanceof Reply.NotFound)) {
            firstSawLease = Math.min(firstSawLease, world.now());
        }
        if (event instanceof Event.Replied(Effect.PutLease put, Reply.LeaseReply ok)) {
            renewedAs = put.lease().renewTime();
        }
    }

    private void noteRole(Role previous) {
        if (elector.role() instanceof Role.Leading leading) {
            knownWins.add(leading.epoch);
            Invariants.require(wins.contains(leading.epoch), "I2",
                    () -> name + " leads with epoch " + leading.epoch + ", but won the Lease as " + wins);
        } else if (previous instanceof Role.Leading leading && elector.role() instanceof Role.Releasing) {
            knownWins.remove(leading.epoch); // if it becomes Ready before it has released, it may win anew what it holds
        }
        if (elector.role() != previous && elector.role() instanceof Role.Releasing releasing) {
            gaveBackAt = releasing.reason == Role.Reason.UNLABELLED ? clock() : gaveBackAt;
            world.invariants.releasing(this, releasing.reason);
        }
    }

    private void guardAgainstLoops(Event event) {
        if (event instanceof Event.Tick && clock() == lastTick) {
            ticksInPlace++;
            Invariants.require(ticksInPlace < LOOP, "no loops", () -> name + " asks to be woken at once, over and over");
        } else {
            ticksInPlace = 0;
        }
        lastTick = clock();
    }

    private void perform(Effect effect) {
        switch (effect) {
            case Effect.Request request -> hand(request);
            case Effect.RestartWatches restart -> {
                world.log(name, "watches anew");
                leaseWatch.breakOff();
                groupWatch.breakOff();
            }
            case Effect.Exit exit -> {
                ended = exit.why();
                world.log(name, "exits: " + exit.why());
                world.invariants.ended(this, exit.why());
                end();
            }
            case Effect.Log log -> {
                saidRewritten |= log.line().contains("rewrites") && !log.line().contains("this pod leads");
                saidLeaseRewritten |= log.line().contains("this pod leads");
                world.log(name, log.line());
                world.invariants.logged(this, log.line(), clock());
            }
            case Effect.Publish publish -> {
                participants = publish.status().participants();
                if (world.isLogging()) {
                    world.log(name, "publishes " + Simulation.show(publish.status()));
                }
            }
            case Effect.WarnOfContention contention -> {
                world.log(name, contention.line());
                world.invariants.logged(this, contention.line(), clock());
            }
            case Effect.RecordEvent event -> world.log(name, "records \"" + event.message() + "\" on " + event.leaseUid());
        }
    }

    private void wakeLater() {
        long wakeAt = elector.wakeAt();
        if (!alive || wakeAt == Long.MAX_VALUE) {
            tickAt = Long.MAX_VALUE;
            return;
        }
        long at = Math.max(world.now(), whenClockShows(wakeAt));
        if (at != tickAt) {
            tickAt = at;
            world.at(at, () -> tick(at));
        }
    }

    private void tick(long at) {
        if (alive && at == tickAt) {
            tickAt = Long.MAX_VALUE;
            deliver(new Event.Tick());
        }
    }

    // --- Requests ----------------------------------------------------------------------------------------------------

    /** A worker takes the request. */
    private void hand(Effect.Request request) {
        requests++;
        world.invariants.asked(this, request, clock());
        noteAsked(request);
        Reply answer = tampering.answered(request);
        if (answer != null) {
            world.at(world.now(), () -> deliver(new Event.Replied(request, answer)));
            return;
        }
        long pause = world.draw.spread(Simulation.MS / 100, Simulation.MS / 5);
        if (world.hit(Fault.STARVED, 0.2)) {
            pause = world.disturb(world.draw.spread(Simulation.MS, 2 * world.mix.lease()));
        }
        boolean checked = pause > Simulation.MS && world.draw.chance(0.3) && !isLate(request);
        world.at(world.now() + pause, () -> send(request, checked));
    }

    private void noteAsked(Effect.Request request) {
        if (request instanceof Effect.PatchPod patch && "true".equals(patch.leadership())) {
            askedBeforeTrue = asked;
        }
        asked = request;
        if (request instanceof Effect.PutLease put && put.lease().isHeld()) {
            attempts.add(put.lease().acquireTime());
        }
    }

    private void send(Effect.Request request, boolean checked) {
        if (!alive && (ended == null || world.draw.chance(0.5))) {
            return;
        }
        if (frozen) {
            boolean checkedBefore = checked || world.draw.chance(0.3);
            whenThawed.add(() -> send(request, checkedBefore));
        } else if (!checked && isLate(request)) {
            world.coverage.count(Coverage.Deed.NOT_SENT);
            deliver(new Event.Replied(request, new Reply.NotSent()));
        } else {
            new Flight(world, this, request).start(world.now() + trueSpan(config.callTimeout()));
        }
    }

    private boolean isLate(Effect.Request request) {
        return switch (request) {
            case Effect.PutLease put -> clock() > put.notAfter();
            case Effect.PatchPod patch -> clock() > patch.notAfter();
            default -> false;
        };
    }

    // --- What is done to it ------------------------------------------------------------------------------------------

    /** SIGTERM. */
    void stop() {
        if (alive && !told) {
            told = true;
            world.invariants.told(this);
            world.log(name, "gets SIGTERM");
            deliver(new Event.Stop());
        }
    }

    /** SIGKILL. */
    void kill() {
        if (alive) {
            world.log(name, "is killed");
            world.disturb(0);
            end();
        }
    }

    private void end() {
        alive = false;
        leaseWatch.close();
        groupWatch.close();
        world.invariants.gone(this);
        world.workload.ended(this);
    }

    /** SIGSTOP. */
    void freeze() {
        if (alive && !frozen) {
            world.log(name, "is frozen");
            frozen = true;
        }
    }

    /** SIGCONT: answers that came after their time-out may or may not be taken for one. */
    void thaw() {
        if (!alive || !frozen) {
            return;
        }
        world.log(name, "is thawed");
        frozen = false;
        List<Runnable> sends = List.copyOf(whenThawed);
        whenThawed.clear();
        for (Runnable send : sends) {
            world.at(world.now() + world.draw.spread(Simulation.MS / 100, Simulation.MS), send);
        }
        while (alive && !frozen && !inbox.isEmpty()) {
            Event event = inbox.poll();
            boolean lost = event instanceof Event.Replied && world.draw.chance(0.2);
            handle(lost && event instanceof Event.Replied late ? new Event.Replied(late.request(), new Reply.Failed("timeout", 0)) : event);
        }
    }

    void cutOff(boolean off) {
        cutOff = off;
        if (off) {
            loseWatches();
        }
    }

    /** Both watches break or fall silent, or only that of the Lease. */
    void loseWatches() {
        if (world.draw.chance(0.5)) {
            leaseWatch.breakOff();
            groupWatch.breakOff();
        } else {
            silenceWatches();
        }
    }

    void breakWatch() {
        (world.draw.chance(0.5) ? leaseWatch : groupWatch).breakOff();
    }

    /** A half-open connection: of both watches, or of the Lease's alone. */
    void silenceWatches() {
        leaseWatch.silence();
        if (world.draw.chance(0.7)) {
            groupWatch.silence();
        }
    }

    /** The watch of the group falls silent after what is on its way; if that of the Lease does, too, which reveals it, so do both. */
    void fallSilent(boolean ofLease) {
        if (ofLease) {
            leaseWatch.fallSilent();
        }
        groupWatch.fallSilent();
    }

    /** The watch of the group falls silent alone; that of the Lease does not reveal it. */
    void silenceGroupWatch(long nanos) {
        groupWatch.silence();
        world.at(world.now() + nanos, () -> {
            if (groupWatch.isSilent()) {
                groupWatch.breakOff();
            }
        });
    }

    /** Clean watches; one that is half-open may stay so where the Lease's silence reveals it. */
    void settle() {
        thaw();
        cutOff = false;
        boolean works = leaseWatch.isLive() && groupWatch.isLive();
        if (!works && !leaseWatch.isSilent() || world.draw.chance(0.5)) {
            leaseWatch.breakOff();
            groupWatch.breakOff();
        }
    }
}
