import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The groups that one test, or the tests of one class, have made: see {@link Lifecycle}. */
final class Groups extends Lifecycle {

    private static final Object STARTING = new Object();

    private final Supplier<RealServer> supplier;
    private final boolean ownsServer;
    private final List<Group> groups = new CopyOnWriteArrayList<>();
    private final List<HostileGroup> hostile = new CopyOnWriteArrayList<>();
    private RealServer server;

    private Groups(Supplier<RealServer> supplier, boolean ofClass) {
        super(ofClass);
        this.supplier = supplier;
        this.ownsServer = ofClass;
    }

    /** Those of one test, on the server that all tests share. */
    static Groups ofTest() {
        return new Groups(RealServer::shared, false);
    }

    /** Those of a class, on a server of its own, which {@code start} starts when it is wanted. */
    static Groups ofClass(Supplier<RealServer> start) {
        return new Groups(start, true);
    }

    /** The server on which the groups are; started by the first call. */
    synchronized RealServer server() {
        if (server == null) {
            server = supplier.get();
        }
        return server;
    }

    // --- Of processes ------------------------------------------------------------------------------------------------

    /** A group of pods with running sidecars in a namespace of its own, of which one leads and which are all labelled. */
    Group elected(int pods, List<String> flags) {
        Group group = empty(server().newNamespace(), "web", flags);
        elect(group, pods);
        return group;
    }

    /** Starts the pods of an empty group and waits until one leads; one group after the other, lest too many JVMs start at once. */
    void elect(Group group, int pods) {
        synchronized (STARTING) {
            group.start(pods);
            group.awaitLeader(Group.START);
        }
    }

    /** A group without pods. */
    Group empty(String namespace, String election, List<String> flags) {
        Group group = new Group(server(), namespace, election, flags);
        groups.add(group);
        return group;
    }

    // --- In this JVM, behind proxies ---------------------------------------------------------------------------------

    /** A group in a namespace of its own, of which one pod leads, with the timing 3 s, 2 s, 500 ms. Its log begins then. */
    HostileGroup hostile(int pods) {
        HostileGroup group = emptyHostile(Group.LEASE, Duration.ofSeconds(2), Duration.ofMillis(500));
        group.start(pods);
        group.awaitLeader();
        group.log().mark();
        return group;
    }

    /** A group without pods in a namespace of its own. */
    HostileGroup emptyHostile(Duration leaseDuration, Duration renewDeadline, Duration retryPeriod) {
        HostileGroup group = new HostileGroup(server(), leaseDuration, renewDeadline, retryPeriod);
        hostile.add(group);
        return group;
    }

    // --- At the end --------------------------------------------------------------------------------------------------

    @Override
    void check() {
        groups.forEach(Group::check);
        hostile.forEach(HostileGroup::check);
    }

    @Override
    String report() {
        return Stream.concat(groups.stream().map(Group::report), hostile.stream().map(HostileGroup::report))
                .collect(Collectors.joining("\n"));
    }

    @Override
    public void close() {
        groups.forEach(Group::close);
        hostile.forEach(HostileGroup::close);
        if (ownsServer && server != null) {
            server.close();
        }
    }
}
