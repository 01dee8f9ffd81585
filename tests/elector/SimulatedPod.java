/** A pod of the simulated workload: what its kubelet knows of it. What others can see is in the {@link SimulatedServer}. */
final class SimulatedPod {

    private final String name;
    private final String uid;
    private final Config config;
    /** Its place among the replicas; -1 if it no longer counts. */
    private int place;
    private SimulatedProcess process;
    private int containers;
    /** Whether it was deleted and may take its time to end. */
    private boolean terminating;
    /** Whether it is no longer in the API server. */
    private boolean removed;
    /** Whether its node is cut off: it was removed by force, and its kubelet does not know. */
    private boolean cutOff;
    private boolean finished;
    private boolean ready;
    private boolean appExited;
    private boolean buried;

    SimulatedPod(String name, String uid, Config config, int place) {
        this.name = name;
        this.uid = uid;
        this.config = config;
        this.place = place;
    }

    String name() {
        return name;
    }

    String uid() {
        return uid;
    }

    Config config() {
        return config;
    }

    int place() {
        return place;
    }

    /** Somebody else has its place among the replicas from now on. */
    void leavePlace() {
        place = -1;
    }

    /** The sidecar's running process; null while there is none. */
    SimulatedProcess process() {
        return process;
    }

    /** A new container; returns its number. */
    int nextContainer() {
        return ++containers;
    }

    void runs(SimulatedProcess next) {
        process = next;
    }

    boolean isTerminating() {
        return terminating;
    }

    void terminate() {
        terminating = true;
    }

    boolean isRemoved() {
        return removed;
    }

    void remove() {
        removed = true;
    }

    boolean isCutOff() {
        return cutOff;
    }

    void cutOff() {
        cutOff = true;
    }

    boolean isFinished() {
        return finished;
    }

    void finish() {
        finished = true;
    }

    boolean isReady() {
        return ready;
    }

    void setReady(boolean ready) {
        this.ready = ready;
    }

    /** Whether the application's containers have ended, so that a sidecar is not started again. */
    boolean hasAppExited() {
        return appExited;
    }

    void appExits() {
        appExited = true;
    }

    /** Its sidecar never starts again. */
    void bury() {
        buried = true;
    }

    boolean isBuried() {
        return buried;
    }

    /** Whether it is there, and neither deleted nor finished. */
    boolean isUp() {
        return !removed && !terminating && !finished;
    }

    @Override
    public String toString() {
        return name;
    }
}
