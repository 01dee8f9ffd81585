import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

/**
 * A test that mostly waits, so that several of its class may run at the same time; those marked {@link Timed} run alone. Where the run is
 * not configured to be parallel, it is an ordinary test.
 */
@Test
@Execution(ExecutionMode.CONCURRENT)
@ResourceLock(value = ConcurrentTest.PROCESSORS, mode = ResourceAccessMode.READ)
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
@interface ConcurrentTest {

    /** What timed tests want for themselves. */
    String PROCESSORS = "processors";

    /** A test that measures time: no other test runs meanwhile. */
    @Test
    @ResourceLock(value = PROCESSORS, mode = ResourceAccessMode.READ_WRITE)
    @Retention(RetentionPolicy.RUNTIME)
    @Target(ElementType.METHOD)
    @interface Timed {}
}
