package api

// adminTable lists the administrative APIs.
func (s *Server) adminTable() []Entry { return nil }
