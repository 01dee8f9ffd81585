import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * The {@link Deviation}s of one schedule, and the messages that are sent in its phase: its points. A schedule that is drawn has neither.
 */
final class Deviations {

    private final List<Deviation> all;
    private final List<Deviation.Message> messages = new ArrayList<>();
    private int next;
    private boolean inPhase;
    private boolean exhausted;

    /** These, by point in ascending order. */
    Deviations(List<Deviation> all) {
        this.all = all;
    }

    /** Counts how often a receiver has handled a message, and keeps what is to arrive there only after some more. */
    static final class Steps {
        private final List<Hold> holds = new ArrayList<>(0);

        /** One more. */
        void step(Simulation world) {
            holds.removeIf(hold -> {
                boolean isOver = --hold.remaining <= 0;
                if (isOver) {
                    world.at(world.now(), hold::release);
                }
                return isOver;
            });
        }

        /** Holds a message back past as many steps as the deviation says, or until the quiet period; then does the action. */
        void hold(Simulation world, Deviation deviation, Runnable action) {
            boolean isLate = deviation.kind() == Deviation.Kind.LATE;
            Hold hold = new Hold(isLate ? Integer.MAX_VALUE : deviation.past(), action);
            holds.add(hold);
            world.underWay(() -> {
                world.deviations.exhausted |= !hold.released && !isLate;
                hold.release();
            });
        }
    }

    private static final class Hold {
        private final Runnable action;
        private int remaining;
        private boolean released;

        Hold(int past, Runnable action) {
            this.remaining = past;
            this.action = action;
        }

        void release() {
            if (!released) {
                released = true;
                action.run();
            }
        }
    }

    /** The phase begins or ends. */
    void inPhase(boolean is) {
        inPhase = is;
    }

    /** What goes wrong in this schedule. */
    Set<Fault> faults() {
        Set<Fault> faults = EnumSet.noneOf(Fault.class);
        all.forEach(deviation -> faults.add(deviation.kind().fault));
        return faults;
    }

    /**
     * A message is sent: what happens to it, if it is not to arrive as usual; null otherwise. A process that is to end does so soon.
     *
     * @param process its sender or receiver
     * @param what for the event log
     */
    Deviation at(Simulation world, Deviation.Message message, SimulatedProcess process, Object what) {
        if (!inPhase) {
            return null;
        }
        messages.add(message);
        if (next == all.size() || all.get(next).point() != messages.size() - 1) {
            return null;
        }
        Deviation deviation = all.get(next++);
        world.disturbUntil(Long.MAX_VALUE);
        if (world.isLogging()) {
            world.log("DEVIATION", deviation + " " + message + " of " + process + ": " + Simulation.show(what));
        }
        switch (deviation.kind()) {
            case CRASH -> world.at(world.now(), process::kill);
            case SIGTERM -> world.at(world.now(), process::stop);
            default -> {
                return deviation;
            }
        }
        return null;
    }

    /** The messages of the phase, in the order in which they were sent. */
    List<Deviation.Message> messages() {
        return messages;
    }

    /** Whether a message that is held had to wait for the quiet period: holding it longer makes no difference. */
    boolean isExhausted() {
        return exhausted;
    }
}
