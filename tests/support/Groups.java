import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Supplier;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * The groups of one test, or of one class of tests: afterwards it checks what their witnesses saw, prints everything about them if a test
 * failed, and ends them.
 */
final class Groups implements AfterEachCallback, AfterAllCallback {

    private static final Object STARTING = new Object();

    private final Supplier<RealServer> supplier;
    private final boolean ofClass;
    private final List<Group> groups = new CopyOnWriteArrayList<>();
    private RealServer server;

    private Groups(Supplier<RealServer> supplier, boolean ofClass) {
        this.supplier = supplier;
        this.ofClass = ofClass;
    }

    /** Those of one test, on the server that all tests share. To be registered as an instance field. */
    static Groups ofTest() {
        return new Groups(RealServer::shared, false);
    }

    /** Those of a class, on a server of its own, which {@code start} starts when it is wanted. To be registered as a static field. */
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

    @Override
    public void afterEach(ExtensionContext context) {
        boolean failed = context.getExecutionException().isPresent();
        if (!ofClass) {
            end(context.getDisplayName(), failed);
        } else if (failed) {
            print(context.getDisplayName());
        }
    }

    @Override
    public void afterAll(ExtensionContext context) {
        if (ofClass) {
            try (RealServer own = server) {
                end(context.getDisplayName(), context.getExecutionException().isPresent());
            }
        }
    }

    private void end(String title, boolean failed) {
        try {
            if (failed) {
                print(title);
            } else {
                check(title);
            }
        } finally {
            groups.forEach(Group::close);
        }
    }

    private void check(String title) {
        try {
            groups.forEach(Group::check);
        } catch (RuntimeException | Error e) {
            print(title);
            throw e;
        }
    }

    private void print(String title) {
        System.out.println("=== " + title);
        groups.forEach(group -> System.out.println(group.report()));
    }
}
