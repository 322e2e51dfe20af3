// A Spring MVC app in Jetty. What Spring Security does for a controller, to name the request's user, is a filter here.
import java.io.IOException;
import java.net.InetSocketAddress;
import java.security.Principal;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import javax.servlet.DispatcherType;
import javax.servlet.Filter;
import javax.servlet.FilterChain;
import javax.servlet.FilterConfig;
import javax.servlet.ServletException;
import javax.servlet.ServletRequest;
import javax.servlet.ServletResponse;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletRequestWrapper;
import javax.servlet.http.HttpServletResponse;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.servlet.FilterHolder;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;
import org.springframework.beans.factory.support.RootBeanDefinition;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.context.support.GenericWebApplicationContext;
import org.springframework.web.servlet.DispatcherServlet;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerAdapter;
import org.springframework.web.servlet.mvc.method.annotation.RequestMappingHandlerMapping;

public class Spring {
    public static void main(String[] arguments) throws Exception {
        GenericWebApplicationContext context = new GenericWebApplicationContext();
        for (Class<?> bean : List.of(
                RequestMappingHandlerMapping.class, RequestMappingHandlerAdapter.class, AuthCheckController.class)) {
            context.registerBeanDefinition(bean.getName(), new RootBeanDefinition(bean));
        }
        ServletContextHandler handler = new ServletContextHandler(ServletContextHandler.SESSIONS);
        handler.addServlet(new ServletHolder(new DispatcherServlet(context)), "/");
        handler.addFilter(new FilterHolder(new Users()), "/*", EnumSet.of(DispatcherType.REQUEST));
        Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])));
        server.setHandler(handler);
        server.start();
    }
}

class Users implements Filter {
    private final Set<String> banned = ConcurrentHashMap.newKeySet();

    public void init(FilterConfig config) {}

    public void destroy() {}

    public void doFilter(ServletRequest asked, ServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        HttpServletRequest request = (HttpServletRequest) asked;
        String path = request.getRequestURI(), user = request.getParameter("user");
        if (path.equals("/login")) request.getSession().setAttribute("user", user);
        if (path.equals("/ban")) banned.add(user);
        if (user != null) {
            ((HttpServletResponse) response).setStatus(204);
            return;
        }
        chain.doFilter(new HttpServletRequestWrapper(request) {
            public Principal getUserPrincipal() {
                Object known = getSession(false) == null ? null : getSession(false).getAttribute("user");
                return known == null || banned.contains(known) ? null : () -> known.toString();
            }
        }, response);
    }
}
