// The interactive API documentation. In a file of its own, so that the page needs no inline script.

SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true });
