import java.util.ArrayDeque;
import java.util.Queue;

/** One of the two watches of a {@link ScriptedProcess}: events arrive in order, and late only where a {@link Deviation} says so. */
final class ScriptedWatch {

    private static final long LAG = 6 * ScriptedWorld.MS / 5;
    private static final long PAUSE = 50 * ScriptedWorld.MS;

    private final ScriptedWorld world;
    private final ScriptedProcess process;
    private final boolean ofLease;
    /** Grows when what is on its way is lost. */
    private int connection;
    /** Whether the list was sent and what happens after it is sent, too. */
    private boolean follows;
    private boolean silent;
    private boolean blocked;
    /** Events behind, and including, one that is held. */
    private final Queue<Event> queue = new ArrayDeque<>();

    ScriptedWatch(ScriptedWorld world, ScriptedProcess process, boolean ofLease) {
        this.world = world;
        this.process = process;
        this.ofLease = ofLease;
    }

    boolean isLive() {
        return follows && !blocked;
    }

    /** Ends the connection; what was on its way is lost. */
    void close() {
        connection++;
        follows = false;
        silent = false;
        blocked = false;
        queue.clear();
    }

    /** The same, and lists after a pause. */
    void restart() {
        close();
        listAfter(PAUSE);
    }

    void listAfter(long pause) {
        int now = connection;
        world.at(world.now() + pause, () -> {
            if (now == connection && process.isAlive()) {
                follows = true;
                send(Deviation.Message.LIST, ofLease ? world.server().leaseNow() : world.server().groupNow());
            }
        });
    }

    /** The API server has news. */
    void push(Event event) {
        if (follows) {
            send(blocked ? Deviation.Message.QUEUED_EVENT : Deviation.Message.EVENT, event);
        }
    }

    private void send(Deviation.Message message, Event event) {
        Deviation deviation = world.point(message, process, event);
        switch (deviation == null ? null : deviation.kind()) {
            case BROKEN -> restart();
            case SILENT -> fallSilent();
            case HELD -> hold(event, deviation.past());
            case LATE -> hold(event, Integer.MAX_VALUE);
            case null, default -> pass(event);
        }
    }

    private void pass(Event event) {
        if (blocked) {
            queue.add(event);
        } else {
            deliver(event, LAG);
        }
    }

    private void deliver(Event event, long lag) {
        int now = connection;
        world.at(world.now() + lag, () -> {
            if (now == connection) {
                process.handle(event);
            }
        });
    }

    private void hold(Event event, int past) {
        blocked = true;
        queue.add(event);
        int now = connection;
        Runnable release = () -> {
            if (now == connection) {
                blocked = false;
                queue.forEach(queued -> deliver(queued, 0));
                queue.clear();
            }
        };
        world.at(world.now() + LAG, () -> world.hold(process.holds(), past, release));
    }

    /**
     * The watch of the group falls silent alone only until the phase ends, since nothing reveals it. That of the Lease takes the other one
     * with it, and both stay silent until the sidecar begins them anew.
     */
    private void fallSilent() {
        if (ofLease) {
            process.silence();
        } else {
            silence();
            world.atEnd(() -> {
                if (silent) {
                    restart();
                }
            });
        }
    }

    void silence() {
        close();
        silent = true;
    }
}
