/** What happens to a leader, or does not; how {@link Course} plays it. */
enum Scenario {

    HANDOVER(1, "SIGTERM to the leader's sidecar"),
    DELETION(1, "the leader's pod is deleted; SIGTERM once the label has moved, or after %s as to a native sidecar"
            .formatted(Config.show(Course.DRAIN))),
    GONE(1, "SIGKILL to the leader's sidecar, and its pod is removed"),
    CRASH(2, "SIGKILL to the leader's sidecar; its pod stays, and the sidecar is started again once the label has moved"),
    FREEZE(4, "SIGSTOP to the leader's sidecar until after another pod is labelled, then SIGCONT"),
    HEALING(4, "somebody else changes a label"),
    ROLLOUT(4, "three new pods replace the old ones one by one, the leader's pod first"),
    STARTUP(2, "a sidecar more; memory after %s".formatted(Config.show(Course.SETTLED))),
    IDLE(10, "nothing happens"),
    OUTAGE(4, "the API server hangs (SIGSTOP) for a third of the lease-duration");

    private final int every;
    private final String title;

    Scenario(int every, String title) {
        this.every = every;
        this.title = title;
    }

    /** What happens, in words. */
    String title() {
        return title;
    }

    /** Whether it is played in this round, counted from 0: what takes long only in every n-th, and no outage where that is not ours. */
    boolean isIn(int round, RealServer server) {
        return round % every == 0 && (this != OUTAGE || server.canStop());
    }

    /** As the command line names it. */
    @Override
    public String toString() {
        return name().toLowerCase();
    }
}
