import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * What lives for one test, registered as an instance field, or for a class of tests, registered as a static field. At its end it is checked,
 * reported if something failed, and closed; the report of what lives for a class also follows each test of it that fails.
 */
abstract class Lifecycle implements AfterEachCallback, AfterAllCallback, AutoCloseable {

    private final boolean ofClass;

    /** {@code ofClass} says whether it lives for a class. */
    Lifecycle(boolean ofClass) {
        this.ofClass = ofClass;
    }

    /** Fails if a rule was broken. */
    abstract void check();

    /** What happened, for people to read. */
    abstract String report();

    @Override
    public abstract void close();

    @Override
    public final void afterEach(ExtensionContext context) {
        if (!ofClass) {
            end(context);
        } else if (context.getExecutionException().isPresent()) {
            print(context);
        }
    }

    @Override
    public final void afterAll(ExtensionContext context) {
        if (ofClass) {
            end(context);
        }
    }

    private void end(ExtensionContext context) {
        boolean sound = false;
        try {
            if (context.getExecutionException().isEmpty()) {
                check();
                sound = true;
            }
        } finally {
            if (!sound) {
                print(context);
            }
            close();
        }
    }

    private void print(ExtensionContext context) {
        System.out.println("=== " + context.getDisplayName() + "\n" + report());
    }
}
