/**
 * One of the two watches of one simulated sidecar: events arrive in order, but arbitrarily late and in any order relative to the other
 * watch and to answers. When it breaks, what was on its way is lost and a new list follows.
 */
final class SimulatedWatch {

    private enum State {
        /** A list is wanted or under way; a list that gets lost is noticed and tried again, other than what a watch delivers. */
        LISTING,
        LIVE,
        SILENT
    }

    private final Simulation world;
    private final SimulatedProcess process;
    private final boolean ofLease;
    private final boolean polling;
    private State state = State.LISTING;
    /** Grows when what is on its way is lost. */
    private int connection;
    /** Whether what happens after the list is on its way, too. */
    private boolean follows;
    private long deliveredUntil;

    SimulatedWatch(Simulation world, SimulatedProcess process, boolean ofLease, boolean polling) {
        this.world = world;
        this.process = process;
        this.ofLease = ofLease;
        this.polling = polling;
    }

    void open() {
        world.server.add(this);
        listAfter(world.draw.spread(Simulation.MS / 5, 5 * Simulation.MS));
    }

    void close() {
        connection++;
        world.server.remove(this);
    }

    boolean isLive() {
        return state == State.LIVE;
    }

    boolean isPolling() {
        return polling;
    }

    boolean isSilent() {
        return state == State.SILENT;
    }

    /** The API server has news. */
    void push(Event event, boolean aboutLease) {
        if (follows && state != State.SILENT && aboutLease == ofLease) {
            deliver(event, lag());
        }
    }

    private long lag() {
        long usual = world.distance() + world.draw.spread(Simulation.MS / 5, 5 * Simulation.MS);
        if (!world.hit(Fault.WATCH_LAG, 0.5)) {
            return usual;
        }
        return world.disturb(world.draw.spread(5 * Simulation.MS, 2 * world.mix.lease()));
    }

    private void deliver(Event event, long delay) {
        deliveredUntil = Math.max(deliveredUntil, world.now() + delay);
        int now = connection;
        world.at(deliveredUntil, () -> {
            if (now == connection) {
                process.deliver(event);
            }
        });
    }

    /** Ends the connection; the sidecar lists again after a pause. */
    void breakOff() {
        if (!polling && process.isAlive()) {
            connection++;
            follows = false;
            state = State.LISTING;
            listAfter(world.draw.spread(Simulation.MS, world.mix.retry()));
        }
    }

    /** Nothing arrives any more, and nobody is told. */
    void silence() {
        if (state == State.LIVE) {
            connection++;
            state = State.SILENT;
        }
    }

    private void listAfter(long pause) {
        int now = connection;
        world.at(world.now() + pause, () -> {
            if (now == connection && process.isAlive()) {
                list();
            }
        });
    }

    private void list() {
        if (process.isCutOff()) {
            listAfter(world.mix.retry());
            return;
        }
        deliveredUntil = world.now();
        deliver(ofLease ? world.server.leaseNow() : world.server.groupNow(), lag());
        if (polling) {
            listAfter(world.draw.between(world.mix.retry(), world.mix.retry() * 6 / 5));
        } else {
            follows = true;
            int now = connection;
            world.at(deliveredUntil, () -> state = now == connection ? State.LIVE : state);
            world.disturb(deliveredUntil - world.now());
        }
    }
}
