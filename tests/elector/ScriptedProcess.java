import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.random.RandomGenerator;

/** One sidecar process of a {@link ScriptedWorld}: a real {@link Elector} with a clock, requests and watches. */
final class ScriptedProcess {

    private static final RandomGenerator STEADY = () -> 1L << 62;
    private static final long CLOCK_BASE = 10 * ScriptedWorld.SECOND;
    /** So many ticks without a nanosecond of progress are a loop. */
    private static final int LOOP = 100;
    /** A sidecar sends to one object at most so many requests at once, and on average two in each retry-period. */
    private static final int BURST = 30;

    private final ScriptedWorld world;
    private final ScriptedWorld.Member pod;
    private final String name;
    private final Elector elector;
    private final ScriptedWatch leaseWatch;
    private final ScriptedWatch groupWatch;
    private final ScriptedWorld.Holds holds = new ScriptedWorld.Holds();
    private final Set<String> wins = new HashSet<>();
    private final Map<String, int[]> requestsTo = new HashMap<>();
    private final long startedAt;
    /** Of a request or an answer. */
    private final long lag;
    private final long timeout;
    /** How often etcd had been restored when it started, or when it noticed the latest restoration. */
    private int knownHistory;
    private boolean alive = true;
    private boolean told;
    private int requests;
    private int underWay;
    private long tickAt = Long.MAX_VALUE;
    private long handledAt;
    private int ticksInPlace;

    ScriptedProcess(ScriptedWorld world, ScriptedWorld.Member pod, int number) {
        this.world = world;
        this.pod = pod;
        this.name = pod.name() + "#" + number;
        Config config = world.script().config(pod.name(), pod.uid());
        this.lag = ScriptedWorld.MS + pod.place() * ScriptedWorld.MS / 50;
        this.timeout = config.callTimeout().toNanos();
        this.startedAt = world.now();
        this.knownHistory = world.server().history();
        this.elector = new Elector(config, STEADY, clock());
        this.leaseWatch = new ScriptedWatch(world, this, true);
        this.groupWatch = new ScriptedWatch(world, this, false);
    }

    void start() {
        world.log(this, "starts");
        leaseWatch.listAfter(0);
        groupWatch.listAfter(0);
        handle(new Event.Tick());
    }

    // --- What others see ---------------------------------------------------------------------------------------------

    ScriptedWorld.Member pod() {
        return pod;
    }

    boolean isAlive() {
        return alive;
    }

    /** Whether it runs and was not told to end. */
    boolean isCandidate() {
        return alive && !told;
    }

    /** Versions of the Lease by which this process won it, as the API server saw it. */
    Set<String> wins() {
        return wins;
    }

    /** Number of requests so far. */
    int requests() {
        return requests;
    }

    /** Whether nothing is under way and both watches deliver. */
    boolean isAtRest() {
        return underWay == 0 && leaseWatch.isLive() && groupWatch.isLive();
    }

    ScriptedWorld.Holds holds() {
        return holds;
    }

    ScriptedWatch watch(boolean ofLease) {
        return ofLease ? leaseWatch : groupWatch;
    }

    @Override
    public String toString() {
        return name;
    }

    // --- Events ------------------------------------------------------------------------------------------------------

    private long clock() {
        return CLOCK_BASE + world.now() - startedAt;
    }

    void handle(Event event) {
        if (!alive) {
            return;
        }
        world.step();
        if (world.isLogging() && !(event instanceof Event.Tick)) {
            world.log(this, "< " + Simulation.show(event));
        }
        Role before = elector.role();
        long history = elector.historySince();
        var effects = elector.on(event, clock(), world.wallClock());
        knownHistory = elector.historySince() == history ? knownHistory : world.server().history();
        if (world.isLogging() && before.getClass() != elector.role().getClass()) {
            world.log(this, before.getClass().getSimpleName() + " -> " + elector.role().getClass().getSimpleName());
        }
        guardAgainstLoops(event);
        for (int i = 0; i < effects.size(); i++) {
            perform(effects.get(i));
        }
        wakeLater();
        holds.step(world);
    }

    private void guardAgainstLoops(Event event) {
        ticksInPlace = event instanceof Event.Tick && world.now() == handledAt ? ticksInPlace + 1 : 0;
        handledAt = world.now();
        if (ticksInPlace > LOOP) {
            throw new Violation("no loops", name + " asks to be woken at once, over and over");
        }
    }

    private void perform(Effect effect) {
        switch (effect) {
            case Effect.Request request -> send(request);
            case Effect.RestartWatches restart -> restartWatches();
            case Effect.Exit exit -> {
                world.log(this, "exits: " + exit.why());
                end();
            }
            case Effect.Log log -> world.log(this, log.line());
            default -> { }
        }
    }

    private void wakeLater() {
        long wakeAt = elector.wakeAt();
        if (!alive || wakeAt == Long.MAX_VALUE) {
            tickAt = Long.MAX_VALUE;
            return;
        }
        long at = Math.max(world.now(), wakeAt - CLOCK_BASE + startedAt);
        if (at != tickAt) {
            tickAt = at;
            world.at(at, () -> tick(at));
        }
    }

    private void tick(long at) {
        if (alive && at == tickAt) {
            tickAt = Long.MAX_VALUE;
            handle(new Event.Tick());
        }
    }

    // --- Requests ----------------------------------------------------------------------------------------------------

    /** A request under way, until it is answered. */
    private final class Call {
        private final Effect.Request request;
        private final long timeoutAt = world.now() + timeout;
        private final int history = knownHistory;
        private boolean answered;

        Call(Effect.Request request) {
            this.request = request;
            underWay++;
        }

        void answer(Reply reply) {
            if (!answered) {
                answered = true;
                underWay--;
                handle(new Event.Replied(request, reply));
            }
        }

        void timeOut() {
            world.at(timeoutAt, () -> answer(new Reply.Failed("timeout", 0)));
        }

        void execute() {
            Reply reply = world.server().execute(ScriptedProcess.this, request, history);
            if (!alive || answered || world.now() + lag > timeoutAt) {
                return;
            }
            Deviation deviation = world.point(Deviation.Message.REPLY, ScriptedProcess.this, reply);
            switch (deviation == null ? null : deviation.kind()) {
                case HELD -> {
                    timeOut();
                    world.at(world.now() + lag, () -> world.hold(holds, deviation.past(), () -> answer(reply)));
                }
                case LATE -> world.at(timeoutAt - 1, () -> answer(reply));
                case LOST -> timeOut();
                case null, default -> world.at(world.now() + lag, () -> answer(reply));
            }
        }
    }

    private void send(Effect.Request request) {
        requests++;
        guardAgainstStorms(request);
        Call call = new Call(request);
        Deviation deviation = world.point(Deviation.Message.REQUEST, this, request);
        switch (deviation == null ? null : deviation.kind()) {
            case HELD -> {
                call.timeOut();
                world.at(world.now() + lag, () -> world.hold(world.server().holds(), deviation.past(), call::execute));
            }
            case LATE -> {
                call.timeOut();
                world.atEnd(call::execute);
            }
            case LOST -> call.timeOut();
            case RESET -> {
                world.at(world.now() + lag, () -> call.answer(new Reply.Failed("connection reset", 0)));
                world.atEnd(call::execute);
            }
            case null, default -> world.at(world.now() + lag, call::execute);
        }
    }

    private void guardAgainstStorms(Effect.Request request) {
        int[] count = requestsTo.computeIfAbsent(Requests.target(request), target -> new int[1]);
        long most = BURST + 2 * (world.now() - startedAt) / Script.RETRY.toNanos();
        if (++count[0] > most) {
            throw new Violation("no storms", name + " has sent " + count[0] + " requests to " + Requests.target(request));
        }
    }

    // --- What is done to it ------------------------------------------------------------------------------------------

    /** SIGTERM. */
    void stop() {
        if (alive && !told) {
            told = true;
            world.log(this, "gets SIGTERM");
            handle(new Event.Stop());
        }
    }

    /** SIGKILL. */
    void kill() {
        if (alive) {
            world.log(this, "is killed");
            end();
        }
    }

    private void end() {
        alive = false;
        leaseWatch.close();
        groupWatch.close();
        world.ended(this, told);
    }

    void restartWatches() {
        world.log(this, "watches anew");
        leaseWatch.restart();
        groupWatch.restart();
    }

    void silence() {
        leaseWatch.silence();
        groupWatch.silence();
    }
}
