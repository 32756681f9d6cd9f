package api

// groupTable lists the APIs of consumer groups.
func (s *Server) groupTable() []Entry { return nil }
