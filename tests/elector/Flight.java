/**
 * One request under way in a {@link Simulation}, from the socket to its one answer. What becomes of it is drawn when it leaves, unless a
 * {@link Deviation} says so.
 */
final class Flight {

    private static final Reply TIMED_OUT = new Reply.Failed("timeout", 0);
    private static final Reply RESET = new Reply.Failed("connection reset", 0);
    private static final long RETRY_AFTER = 3600 * Simulation.SECOND;

    private final Simulation world;
    private final SimulatedProcess from;
    private final Effect.Request request;
    /** How often etcd had been restored, as far as the sender knows. */
    private final int history;
    private boolean done;
    private boolean answered;

    Flight(Simulation world, SimulatedProcess from, Effect.Request request) {
        this.world = world;
        this.from = from;
        this.request = request;
        this.history = from.knownHistory();
    }

    /** Draws its fate; the sender gives up at {@code timeout}. */
    void start(long timeout) {
        Deviation deviation = world.deviations.at(world, Deviation.Message.REQUEST, from, request);
        if (deviation != null) {
            deviate(deviation, timeout);
            return;
        }
        long now = world.now();
        Draw draw = world.draw;
        long there = now + usual();
        long back = usual();
        if (from.isCutOff() || world.hit(Fault.LOST_REQUEST, 0.2)) {
            long known = draw.chance(0.5) ? timeout : now + draw.spread(Simulation.MS, timeout - now);
            answer(world.disturbUntil(known), new Reply.Failed("no connection", 0));
        } else if (world.hit(Fault.RETRY_AFTER, 0.1)) {
            answer(world.disturbUntil(there + back), new Reply.Failed("503", RETRY_AFTER));
        } else if (world.hit(Fault.SERVER_ERROR, 0.2)) {
            long pause = draw.chance(0.3) ? draw.between(1L, 3L) * Simulation.SECOND : 0;
            if (draw.chance(0.3)) {
                execute(there, null, 0, 0);
            }
            answer(world.disturbUntil(there + back), new Reply.Failed("500 or 429", pause));
        } else if (world.hit(Fault.RESET, 0.2)) {
            answer(there, RESET);
            execute(world.disturbUntil(there + draw.spread(Simulation.MS / 10, world.mix.lease())), null, 0, 0);
        } else if (world.hit(Fault.LOST_REPLY, 0.2)) {
            execute(there, null, 0, 0);
            answer(world.disturbUntil(draw.chance(0.5) ? timeout : Math.min(timeout, there + back)), TIMED_OUT);
        } else {
            if (world.hit(Fault.LATE, 0.2)) {
                there = world.disturbUntil(now + draw.spread((timeout - now) / 4, 5 * world.mix.lease()));
            } else if (world.hit(Fault.SLOW, 0.5)) {
                there += draw.spread(Simulation.MS, timeout - now);
                back += draw.spread(Simulation.MS, timeout - now);
                world.disturbUntil(there + back);
            } else if (isRead() && world.hit(Fault.GET_STALE, 1)) {
                back += draw.spread(10 * Simulation.MS, timeout - now);
                world.disturbUntil(there + back);
            }
            execute(there, from, back, timeout);
        }
    }

    /** It does not fare as usual: a deviation says how. */
    private void deviate(Deviation deviation, long timeout) {
        long there = world.now() + usual();
        Runnable atTheEnd = () -> arrive(null, 0, 0, 0);
        switch (deviation.kind()) {
            case HELD -> {
                answer(timeout, TIMED_OUT);
                world.at(there, () -> world.server.steps().hold(world, deviation, () -> arrive(from, usual(), timeout, there)));
            }
            case LATE -> {
                answer(timeout, TIMED_OUT);
                world.underWay(atTheEnd);
            }
            case RESET -> {
                answer(there, RESET);
                world.underWay(atTheEnd);
            }
            default -> answer(timeout, TIMED_OUT);
        }
    }

    private long usual() {
        return world.distance() + world.draw.spread(Simulation.MS / 10, 4 * Simulation.MS);
    }

    private boolean isRead() {
        return request instanceof Effect.GetLease || request instanceof Effect.GetPod || request instanceof Effect.ListPods;
    }

    private void answer(long time, Reply reply) {
        world.at(time, () -> {
            if (!answered) {
                answered = true;
                from.deliver(new Event.Replied(request, reply));
            }
        });
    }

    /** Executes it at that time, or earlier if the quiet period begins; {@code receiver} is null if nobody waits for the answer. */
    private void execute(long time, SimulatedProcess receiver, long back, long timeout) {
        if (receiver != null && time + back > timeout) {
            answer(timeout, TIMED_OUT);
        }
        Runnable arrive = () -> arrive(receiver, back, timeout, time);
        world.at(time, arrive);
        if (time > world.now() + Simulation.SECOND / 10) {
            world.underWay(arrive);
        }
    }

    private void arrive(SimulatedProcess receiver, long back, long timeout, long planned) {
        if (done) {
            return;
        }
        done = true;
        if (world.isOut() || from.isCutOff() && world.draw.chance(0.5)) {
            if (receiver != null && planned + back <= timeout) {
                answer(timeout, TIMED_OUT);
            }
            return;
        }
        if (history != world.server.history()) {
            world.invariants.outdated(request);
        }
        Reply reply = world.server.execute(from, request);
        if (world.isLogging()) {
            world.log("server", from + " " + Simulation.show(request) + " = " + Simulation.show(reply));
        }
        if (receiver != null && planned + back <= timeout) {
            returns(reply, back, timeout);
        }
    }

    /** It was executed, and its sender may get the reply. */
    private void returns(Reply reply, long back, long timeout) {
        boolean isAwaited = from.isAlive() && !answered;
        Deviation deviation = isAwaited ? world.deviations.at(world, Deviation.Message.REPLY, from, reply) : null;
        switch (deviation == null ? null : deviation.kind()) {
            case HELD -> {
                answer(timeout, TIMED_OUT);
                world.at(world.now() + back, () -> from.steps().hold(world, deviation, () -> answer(world.now(), reply)));
            }
            case LATE -> answer(timeout - 1, reply);
            case LOST -> answer(timeout, TIMED_OUT);
            case null, default -> answer(world.now() + back, reply);
        }
    }
}
