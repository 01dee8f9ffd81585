import java.util.ArrayDeque;
import java.util.Queue;

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
    /** Events behind, and including, one that is held. */
    private final Queue<Event> held = new ArrayDeque<>(0);

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
        lose();
        world.server.remove(this);
    }

    boolean isLive() {
        return state == State.LIVE && held.isEmpty();
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
            send(Deviation.Message.EVENT, event);
        }
    }

    private void send(Deviation.Message message, Event event) {
        long lag = lag();
        Deviation deviation = world.deviations.at(world, held.isEmpty() ? message : Deviation.Message.QUEUED_EVENT, process, event);
        switch (deviation == null ? null : deviation.kind()) {
            case BROKEN -> breakOff();
            case SILENT -> process.fallSilent(ofLease);
            case HELD, LATE -> hold(event, lag, deviation);
            case null, default -> {
                if (held.isEmpty()) {
                    deliver(event, lag);
                } else {
                    held.add(event);
                }
            }
        }
    }

    private void hold(Event event, long lag, Deviation deviation) {
        held.add(event);
        int now = connection;
        world.at(world.now() + lag, () -> process.steps().hold(world, deviation, () -> {
            if (now == connection) {
                held.forEach(each -> deliver(each, 0));
                held.clear();
            }
        }));
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

    private void lose() {
        connection++;
        held.clear();
    }

    /** Ends the connection; the sidecar lists again after a pause. */
    void breakOff() {
        if (!polling && process.isAlive()) {
            lose();
            follows = false;
            state = State.LISTING;
            listAfter(world.draw.spread(Simulation.MS, world.mix.retry()));
        }
    }

    /** Nothing arrives any more, and nobody is told. */
    void silence() {
        if (state == State.LIVE) {
            lose();
            state = State.SILENT;
        }
    }

    /** The same after what is on its way. */
    void fallSilent() {
        follows = false;
        int now = connection;
        world.at(deliveredUntil, () -> {
            if (now == connection) {
                silence();
            }
        });
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
        int now = connection;
        send(Deviation.Message.LIST, ofLease ? world.server.leaseNow() : world.server.groupNow());
        if (polling) {
            listAfter(world.draw.between(world.mix.retry(), world.mix.retry() * 6 / 5));
        } else if (now == connection) {
            follows = true;
            world.at(deliveredUntil, () -> state = now == connection ? State.LIVE : state);
            world.disturb(deliveredUntil - world.now());
        }
    }
}
