import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** The groups that one test has made: afterwards each is checked and closed, and of all of them is told if the test failed. */
abstract class GroupsOfTest<G extends GroupsOfTest.Checked> implements AfterEachCallback {

    /** A group that knows whether something went wrong in it. */
    interface Checked extends AutoCloseable {

        /** Fails if a rule was broken. */
        void check();

        /** What happened, for people to read. */
        String report();

        @Override
        void close();
    }

    private final List<G> groups = new CopyOnWriteArrayList<>();

    /** Looks after a group; returns it. */
    final G add(G group) {
        groups.add(group);
        return group;
    }

    /** The groups of this test so far. */
    final List<G> all() {
        return groups;
    }

    @Override
    public final void afterEach(ExtensionContext context) {
        boolean failed = context.getExecutionException().isPresent();
        try {
            if (!failed) {
                failed = true;
                groups.forEach(Checked::check);
                failed = false;
            }
        } finally {
            if (failed) {
                System.out.println("=== " + context.getDisplayName());
                groups.forEach(group -> System.out.println(group.report()));
            }
            groups.forEach(Checked::close);
        }
    }
}
