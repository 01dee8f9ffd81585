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
 * A test that mostly waits, so that several of its class may run at the same time; those marked {@link Alone} do not. Where the run is not
 * configured to be parallel, it is an ordinary test.
 */
@Test
@Execution(ExecutionMode.CONCURRENT)
@ResourceLock(value = ConcurrentTest.MACHINE, mode = ResourceAccessMode.READ)
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
@interface ConcurrentTest {

    /** Processors and servers: what a test that runs alone wants for itself. */
    String MACHINE = "machine";

    /** A test that measures short times or stops a server that others use: no other test runs meanwhile. */
    @Test
    @ResourceLock(value = MACHINE, mode = ResourceAccessMode.READ_WRITE)
    @Retention(RetentionPolicy.RUNTIME)
    @Target(ElementType.METHOD)
    @interface Alone {}
}
