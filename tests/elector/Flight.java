/** One request under way in a {@link Simulation}, from the socket to its one answer. What becomes of it is drawn when it leaves. */
final class Flight {

    private static final long RETRY_AFTER = 3600 * Simulation.SECOND;

    private final Simulation world;
    private final SimulatedProcess from;
    private final Effect.Request request;
    /** How often etcd had been restored, as far as the sender knows. */
    private final int history;
    private boolean done;

    Flight(Simulation world, SimulatedProcess from, Effect.Request request) {
        this.world = world;
        this.from = from;
        this.request = request;
        this.history = from.knownHistory();
    }

    /** Draws its fate; the sender gives up at {@code timeout}. */
    void start(long timeout) {
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
            answer(there, new Reply.Failed("connection reset", 0));
            execute(world.disturbUntil(there + draw.spread(Simulation.MS / 10, world.mix.lease())), null, 0, 0);
        } else if (world.hit(Fault.LOST_REPLY, 0.2)) {
            execute(there, null, 0, 0);
            answer(world.disturbUntil(draw.chance(0.5) ? timeout : Math.min(timeout, there + back)), new Reply.Failed("timeout", 0));
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

    private long usual() {
        return world.distance() + world.draw.spread(Simulation.MS / 10, 4 * Simulation.MS);
    }

    private boolean isRead() {
        return request instanceof Effect.GetLease || request instanceof Effect.GetPod || request instanceof Effect.ListPods;
    }

    private void answer(long time, Reply reply) {
        world.at(time, () -> from.deliver(new Event.Replied(request, reply)));
    }

    /** Executes it at that time, or earlier if the quiet period begins; {@code receiver} is null if nobody waits for the answer. */
    private void execute(long time, SimulatedProcess receiver, long back, long timeout) {
        if (receiver != null && time + back > timeout) {
            answer(timeout, new Reply.Failed("timeout", 0));
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
                answer(Math.max(world.now(), timeout), new Reply.Failed("timeout", 0));
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
            answer(world.now() + back, reply);
        }
    }
}
